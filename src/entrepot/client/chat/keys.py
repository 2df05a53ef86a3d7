"""The key directory: one's own NaCl key, devices for clients that use other protocols, and the keys of others."""

from collections.abc import AsyncIterator
from uuid import UUID

from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from entrepot.apps.chat.attestations import of_public_key
from entrepot.apps.chat.calls.keys import (
    ClaimKeys,
    GetKeys,
    GetUserKeys,
    KeyLogEntry,
    KeyLogPage,
    ListKeyLog,
    OwnKeys,
    PutKeys,
    RemoveDevice,
    UserKeys,
)
from entrepot.apps.chat.calls.users import EditMe, GetMe, Me
from entrepot.client.boxes import Boxes
from entrepot.client.chat.keyring import KeyChanged, Keyring
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet


class Keys:
    """The directory, as one wallet may use it."""

    def __init__(self, transport: Transport, key: LocalAccount, boxes: Boxes, ring: Keyring, domain: str) -> None:
        self._transport, self._key, self._boxes, self._ring, self._domain = transport, key, boxes, ring, domain
        self._wallet = Wallet(key.address)

    @property
    def kept(self) -> dict[Wallet, list[PublicKey]]:
        """The keys that each wallet is trusted by, the present one last. Keep it, and put it back at the next start."""
        return self._ring.kept

    def accept(self, change: KeyChanged) -> None:
        """Writes to somebody with their new key from now on."""
        self._ring.accept(change)

    async def publish(self) -> Me:
        """Makes this wallet's own NaCl key the one that others seal to; where it is new, the wallet signs for it."""
        me = await self._transport.get("/chat/me", GetMe(by=self._wallet), Me)
        key, version = self.public_key, me.keys_version + 1
        if me.public_key == key:
            return me
        text = of_public_key(self._domain, self._wallet, key, version, 1)
        signed = "0x" + bytes(self._key.sign_message(encode_defunct(text=text)).signature).hex()
        ask = asked(EditMe, by=self._wallet, public_key=key, version=version, signature=signed)
        return await self._transport.command("PATCH", "/chat/me", ask, Me)

    @property
    def public_key(self) -> PublicKey:
        """This wallet's own."""
        return self._boxes.public_key

    async def own(self) -> OwnKeys:
        """This wallet's devices, and how many one-time keys of each are left."""
        return await self._transport.get("/chat/keys", GetKeys(by=self._wallet), OwnKeys)

    async def put(self, device: PutKeys) -> OwnKeys:
        """Brings a device, or more keys of it."""
        return await self._transport.command("PUT", "/chat/keys", device, OwnKeys)

    async def remove(self, device: UUID) -> None:
        """A device goes, for good."""
        ask = RemoveDevice(by=self._wallet, device=device)
        await self._transport.command("DELETE", "/chat/keys/{device}", ask, type(None))

    async def of(self, wallet: str, device: UUID | None = None) -> UserKeys:
        """The keys of somebody's devices, without one-time keys."""
        ask = asked(GetUserKeys, by=self._wallet, wallet=wallet, device=device)
        return await self._transport.get("/chat/users/{wallet}/keys", ask, UserKeys)

    async def claim(self, wallet: str, device: UUID | None = None, *, key: str = "") -> UserKeys:
        """The same, with a one-time key of each device. `key` is the idempotency key: the same answers the same."""
        ask = asked(ClaimKeys, by=self._wallet, wallet=wallet, device=device)
        return await self._transport.command("POST", "/chat/users/{wallet}/keys", ask, UserKeys, key=key)

    async def log(self, wallet: str) -> AsyncIterator[KeyLogEntry]:
        """All keys that somebody has had, the newest first."""
        ask = asked(ListKeyLog, by=self._wallet, wallet=wallet, limit=PAGE)
        async for each in self._transport.every("/chat/users/{wallet}/key-log", ask, KeyLogPage):
            yield each
