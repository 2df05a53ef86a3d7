"""Whether keys are vouched for: looked at before the transaction, as it takes time, and of a contract wallet its chain.

What the signatures are over is told in attestations.py. Whether they are still good, with the version that they name,
is decided in the transaction.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from entrepot.apps.chat.attestations import Use, of_device, of_key, of_public_key
from entrepot.apps.chat.calls.keys import PutKeys, SignedKey
from entrepot.apps.chat.calls.users import EditMe
from entrepot.apps.chat.refusals import WrongSignature
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.database import Database
from entrepot.kernel.identity.signature import approved_by_contract, recovered
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.settings import Settings
from entrepot.kernel.wallet import Wallet


@dataclass(frozen=True)
class Vouched:
    """The wallet's signature over its new key, and the version that it names."""

    signature: bytes
    version: int


NOT = Vouched(b"", 0)
"""The wallet was not asked to sign."""


async def check_public_key(_database: Database, ask: EditMe, settings: Settings, chains: Chains) -> Vouched:
    """The wallet has signed for its NaCl public key."""
    if not isinstance(ask.public_key, str):
        if ask.signature is not None or ask.version is not None:
            raise Malformed("public_key", "is what the signature is for")
        return NOT
    if ask.signature is None or ask.version is None:
        raise Malformed("version" if ask.version is None else "signature", "is needed with a public key")
    text = of_public_key(settings.domain, ask.by, ask.public_key, ask.version, ask.chain_id)
    if not await _signed(ask.by, text, ask.signature, ask.chain_id, chains):
        raise WrongSignature("signature", f"is not {ask.by}'s, of this text: {text!r}")
    return Vouched(bytes.fromhex(ask.signature[2:]), ask.version)


async def check_device(_database: Database, ask: PutKeys, settings: Settings, chains: Chains) -> Vouched:
    """The identity key has signed for the other keys, and the wallet for the identity key, where it is new."""
    numbers = [key.key_id for _, _, key in _keys(ask) if key is not ask.signed_prekey]
    if len(numbers) != len(set(numbers)):
        raise Malformed("one_time_keys", "two have the same key_id, or one and the last resort")
    identity = VerifyKey(ask.identity_key.raw)
    for field, use, key in _keys(ask):
        text = of_key(settings.domain, use, ask.device_id, key.key_id, key.public_key)
        try:
            identity.verify(text.encode(), key.signature.raw)
        except BadSignatureError:
            raise WrongSignature(field, f"is not signed by the identity key, as {text!r}") from None
    if ask.identity_signature is None or ask.version is None:
        return NOT
    text = of_device(settings.domain, ask.by, ask.device_id, ask.identity_key, ask.version, ask.chain_id)
    if not await _signed(ask.by, text, ask.identity_signature, ask.chain_id, chains):
        raise WrongSignature("identity_signature", f"is not {ask.by}'s, of this text: {text!r}")
    return Vouched(bytes.fromhex(ask.identity_signature[2:]), ask.version)


def _keys(ask: PutKeys) -> Iterator[tuple[str, Use, SignedKey]]:
    """All keys of the device but the first, by the field that holds each."""
    yield "signed_prekey", Use.SIGNED_PREKEY, ask.signed_prekey
    if ask.last_resort_key is not None:
        yield "last_resort_key", Use.LAST_RESORT, ask.last_resort_key
    for place, key in enumerate(ask.one_time_keys):
        yield f"one_time_keys[{place}]", Use.ONE_TIME, key


async def _signed(wallet: Wallet, text: str, signature: str, chain_id: int, chains: Chains) -> bool:
    if recovered(text, signature) == wallet:
        return True
    chain = chains.by_id(chain_id)
    return chain is not None and await approved_by_contract(chain.rpc, wallet, text, signature)
