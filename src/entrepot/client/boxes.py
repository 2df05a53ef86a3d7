"""A wallet's NaCl keys, and what is sealed with them. The keys come from a signature, so that nobody has to keep them.

The private key is BLAKE2b-256, personalised `entrepot box v1`, of r and s (64 bytes) of the wallet's EIP-191 signature
of `TEXT`. Plain accounts sign deterministically (RFC 6979), so the same wallet has the same key wherever it signs.
Whoever gets a wallet to sign this text can read what is sealed for it.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping

from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox
from nacl.utils import random

from entrepot.client.failures import WrongDelivery, WrongEvidence
from entrepot.kernel import values

TEXT = """Entrepôt: make my private key, version 1.

This signature opens every message and every delivery that is sealed for this wallet.
Sign it only in a client that you trust with them. It costs nothing and moves no money."""
PERSON = b"entrepot box v1"


def base64_of(raw: bytes) -> str:
    """As the interface carries bytes."""
    return b64encode(raw).decode()


class Boxes:
    """The NaCl keys of one wallet."""

    def __init__(self, account: LocalAccount) -> None:
        signature = bytes(account.sign_message(encode_defunct(text=TEXT)).signature)
        self._private = PrivateKey(hashlib.blake2b(signature[:64], digest_size=32, person=PERSON).digest())

    @property
    def public_key(self) -> values.PublicKey:
        """What others seal to."""
        return values.PublicKey(base64_of(bytes(self._private.public_key)))

    def between(self, other: str) -> Box:
        """What only this wallet and the owner of that public key can make and open."""
        return Box(self._private, PublicKey(b64decode(other)))

    def write(self, text: str, to: str) -> tuple[str, str]:
        """Ciphertext and nonce of a message that only the two can open."""
        sent = self.between(to).encrypt(text.encode())
        return base64_of(sent.ciphertext), base64_of(sent.nonce)

    def read(self, ciphertext: str, nonce: str, other: str) -> str | None:
        """The message between us and that key; None where it was not sealed between these two keys."""
        try:
            return self.between(other).decrypt(b64decode(ciphertext), b64decode(nonce)).decode()
        except (CryptoError, UnicodeDecodeError):
            return None

    def read_by(self, ciphertext: str, nonce: str, others: Iterable[str]) -> str | None:
        """The same, where the other key is one of several; None where it is none of them."""
        texts = (self.read(ciphertext, nonce, other) for other in others)
        return next((text for text in texts if text is not None), None)

    def seal_to(self, readers: Mapping[str, str], raw: bytes) -> tuple[str, str, dict[str, str]]:
        """For several, by wallet and public key: ciphertext and nonce (NaCl secretbox under a key that is used once),
        and that key sealed to each of them.
        """
        key = random(SecretBox.KEY_SIZE)
        sealed = SecretBox(key).encrypt(raw)
        keys = {wallet: seal(key, public_key) for wallet, public_key in readers.items()}
        return base64_of(sealed.ciphertext), base64_of(sealed.nonce), keys

    def unseal_from(self, ciphertext: bytes, nonce: bytes, key: bytes) -> bytes:
        """What somebody sealed to several, this wallet among them. Raises `WrongEvidence`."""
        try:
            return SecretBox(SealedBox(self._private).decrypt(key)).decrypt(ciphertext, nonce)
        except (CryptoError, ValueError):
            raise WrongEvidence("it cannot be opened with this wallet's key") from None

    def unseal(self, sealed: bytes) -> bytes:
        """What somebody sealed to our public key. Raises `WrongDelivery`."""
        try:
            return SealedBox(self._private).decrypt(sealed)
        except CryptoError:
            raise WrongDelivery("it is not sealed to this wallet's public key") from None


def seal(raw: bytes, to: str) -> str:
    """For the owner of that public key only; base64."""
    return base64_of(SealedBox(PublicKey(b64decode(to))).encrypt(raw))
