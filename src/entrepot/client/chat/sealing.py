"""What messages are sealed in, for a pair and for a group; docs/chat.md tells both forms octet by octet.

Inside stands which message it is, whose, and for whom, so that nobody can pass one off as another's, or repeat it as
another message or elsewhere.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random

from entrepot.apps.chat.model import MOST_OCTETS
from entrepot.client.boxes import Boxes, base64_of
from entrepot.client.failures import NoKey
from entrepot.kernel.values import Base64, read_value, write_value
from entrepot.kernel.wallet import Wallet

GROUP: Final = b"\x01"
TAG = 4  # octets of a reader's public key, by which it finds its own slot
DIGEST = 32
SLOT = TAG + SecretBox.KEY_SIZE + DIGEST + SecretBox.MACBYTES


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed, as JSON."""

    id: UUID
    sender: Wallet
    to: str
    """The wallet of the other, or the group's id."""
    text: str


@dataclass(frozen=True)
class Sealed:
    """As the server has it; both in base64."""

    ciphertext: str
    nonce: str


def seal_for_one(boxes: Boxes, plain: Plain, key: str) -> Sealed:
    """A NaCl box. Raises `NoKey` where it is too long."""
    return _short_enough(Sealed(*boxes.write(_written(plain).decode(), key)))


def open_from_one(boxes: Boxes, sealed: Sealed, keys: Iterable[str]) -> Plain | None:
    """What a box holds, where it is between our key and one of these."""
    text = boxes.read_by(sealed.ciphertext, sealed.nonce, keys)
    return None if text is None else _read(text.encode())


def seal_for_all(boxes: Boxes, plain: Plain, keys: Iterable[str]) -> Sealed:
    """A secretbox, and its key in a box for each of these and for ourselves. Raises `NoKey` where they are too many.

    With the key goes a digest of the secretbox: a reader, who has the key, cannot put other words into it.
    """
    key, nonce = random(SecretBox.KEY_SIZE), random(SecretBox.NONCE_SIZE)
    said = SecretBox(key).encrypt(_written(plain), nonce).ciphertext
    readers = sorted({Base64(each).raw: each for each in (*keys, boxes.public_key)}.items())
    inside = key + blake2b(said, digest_size=DIGEST).digest()
    slots = [raw[:TAG] + boxes.between(each).encrypt(inside, nonce).ciphertext for raw, each in readers]
    whole = GROUP + len(slots).to_bytes(2, "big") + b"".join(slots) + said
    return _short_enough(Sealed(base64_of(whole), base64_of(nonce)))


def open_from_all(boxes: Boxes, sealed: Sealed, keys: Iterable[str]) -> Plain | None:
    """What somebody with one of these keys has sealed for us among others."""
    whole, nonce = Base64(sealed.ciphertext).raw, Base64(sealed.nonce).raw
    count = int.from_bytes(whole[1:3], "big")
    slots, said = whole[3 : 3 + count * SLOT], whole[3 + count * SLOT :]
    if whole[:1] != GROUP or len(slots) != count * SLOT:
        return None
    tag = Base64(boxes.public_key).raw[:TAG]
    own = [slots[at + TAG : at + SLOT] for at in range(0, len(slots), SLOT) if slots[at : at + TAG] == tag]
    for key in keys:
        if (inside := _unboxed(boxes, key, own, nonce)) is not None:
            return _unsealed(inside, said, nonce)
    return None


def _unboxed(boxes: Boxes, key: str, slots: Sequence[bytes], nonce: bytes) -> bytes | None:
    """What the owner of that key has put into one of these. A key may be none that a box can be made with."""
    with suppress(CryptoError):
        box = boxes.between(key)
        for slot in slots:
            with suppress(CryptoError):
                return box.decrypt(slot, nonce)
    return None


def _unsealed(inside: bytes, said: bytes, nonce: bytes) -> Plain | None:
    if inside[SecretBox.KEY_SIZE :] != blake2b(said, digest_size=DIGEST).digest():
        return None
    try:
        return _read(SecretBox(inside[: SecretBox.KEY_SIZE]).decrypt(said, nonce))
    except CryptoError:
        return None


def _written(plain: Plain) -> bytes:
    return msgspec.json.encode(plain, enc_hook=write_value)


def _read(raw: bytes) -> Plain | None:
    try:
        return msgspec.json.decode(raw, type=Plain, dec_hook=read_value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _short_enough(sealed: Sealed) -> Sealed:
    if len(Base64(sealed.ciphertext).raw) > MOST_OCTETS:
        raise NoKey(f"sealed for all its readers, the message has more than {MOST_OCTETS} octets")
    return sealed
