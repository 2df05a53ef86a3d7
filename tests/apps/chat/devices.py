"""A device with its keys, and what it hands in, as the reference client would."""

import base64
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from eth_account.messages import encode_defunct
from nacl.public import PrivateKey
from nacl.signing import SigningKey, VerifyKey

from entrepot.apps.chat.attestations import Use, of_device, of_key, of_public_key
from entrepot.kernel.wallet import Wallet
from tests.apps.chat.conftest import Caller
from tests.callers import Answer

DOMAIN = "localhost"


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def signed_by(caller: Caller, what: str) -> str:
    """A wallet's signature, as EIP-191 says."""
    signature: str = caller.account.sign_message(encode_defunct(text=what)).signature.to_0x_hex()
    return signature


@dataclass
class Device:
    """Somebody's device. It numbers its one-time keys itself."""

    owner: Caller
    id: UUID = field(default_factory=uuid4)
    identity: SigningKey = field(default_factory=SigningKey.generate)
    next_key: int = 1
    prekey: dict[str, Any] = field(default_factory=dict)

    @property
    def identity_key(self) -> str:
        return text(self.identity.verify_key.encode())

    def key(self, use: Use, number: int | None = None) -> dict[str, Any]:
        """A new key, signed."""
        if number is None:
            number, self.next_key = self.next_key, self.next_key + 1
        public = text(PrivateKey.generate().public_key.encode())
        signature = self.identity.sign(of_key(DOMAIN, use, self.id, number, public).encode()).signature
        return {"key_id": number, "public_key": public, "signature": text(signature)}

    def keys(self, count: int) -> list[dict[str, Any]]:
        return [self.key(Use.ONE_TIME) for _ in range(count)]

    def attested(self, version: int, chain_id: int = 1) -> dict[str, Any]:
        """The wallet's word for the identity key."""
        wallet = Wallet(self.owner.wallet)
        signature = signed_by(self.owner, of_device(DOMAIN, wallet, self.id, self.identity_key, version, chain_id))
        return {"version": version, "identity_signature": signature}

    def handed_in(self, attests: int | None = 1, /, **changes: Any) -> dict[str, Any]:
        """What a device brings that comes for the first time, or without a version what one brings later."""
        self.prekey = self.prekey or self.key(Use.SIGNED_PREKEY, 1)
        return {
            "device_id": str(self.id),
            "identity_key": self.identity_key,
            "signed_prekey": self.prekey,
            **({} if attests is None else self.attested(attests)),
            **changes,
        }

    async def comes(self, version: int = 1, **changes: Any) -> Answer:
        answer = await self.owner.put("keys", **self.handed_in(version, **changes))
        assert answer.status == 200, answer.body
        return answer

    async def brings(self, **changes: Any) -> Answer:
        return await self.owner.put("keys", **self.handed_in(None, **changes))


def is_signed(device: dict[str, Any], key: dict[str, Any], use: Use) -> bool:
    """Whether a key that was given out is signed by the device's identity key; raises where it is not."""
    what = of_key(DOMAIN, use, UUID(device["id"]), key["key_id"], key["public_key"])
    identity = VerifyKey(base64.b64decode(device["identity_key"]))
    return identity.verify(what.encode(), base64.b64decode(key["signature"])) == what.encode()


def new_public_key(caller: Caller, version: int, key: str | None = None) -> dict[str, Any]:
    """Another NaCl key, with the wallet's word for it."""
    key = key or text(PrivateKey.generate().public_key.encode())
    signature = signed_by(caller, of_public_key(DOMAIN, Wallet(caller.wallet), key, version, 1))
    return {"public_key": key, "version": version, "signature": signature}
