"""The key directory: what its calls take and answer."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.users import ChainId, KeysVersion, WalletSignature
from entrepot.kernel.http.paging import PageCursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import Base64, PublicKey, Text
from entrepot.kernel.wallet import Wallet

KeyId = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
MOST_AT_ONCE, MOST_HELD, LOW = 100, 500, 10
"""One-time keys of a call, of a device, and under how many their owner is told to bring more."""
MOST_DEVICES = 20
MOST_CHANGES = 60
"""Entries of a wallet's key log in an hour: each change of a device is told in every conversation of the wallet."""
MOST_CLAIMS = 20
"""How often in an hour somebody may take one-time keys of the same wallet."""


class IdentityKey(Base64):
    """An Ed25519 public key: 32 bytes."""

    __slots__ = ()
    octets = 32
    schema: ClassVar[dict[str, Any]] = PublicKey.schema


class KeySignature(Base64):
    """An Ed25519 signature: 64 bytes."""

    __slots__ = ()
    octets = 64
    schema: ClassVar[dict[str, Any]] = {
        **Base64.schema,
        "minLength": 88,
        "maxLength": 88,
        "pattern": "^[A-Za-z0-9+/]{85}[AQgw]==$",
        "examples": ["A" * 86 + "=="],
    }


class DeviceName(Text):
    """What its owner calls a device; nobody else is told."""

    __slots__ = ()
    most = 50
    example = "the phone"


class SignedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An X25519 key that the device's identity key has signed (attestations.py)."""

    key_id: KeyId
    public_key: PublicKey
    signature: KeySignature


class PutKeys(Ask, frozen=True, kw_only=True):
    """A device as it shall be. What was brought before may stand in it again: nothing comes of that."""

    by: Wallet
    device_id: UUID
    """Made by the device; a removed device does not come back by its old one."""
    name: DeviceName | None = None
    identity_key: IdentityKey
    version: KeysVersion | None = None
    """The wallet's `keys_version` and one more; needed with an identity key that is not the device's yet."""
    chain_id: ChainId = 1
    """Where a contract wallet is; any chain for a plain account."""
    identity_signature: WalletSignature | None = None
    """The wallet's, over these; needed where the version is."""
    signed_prekey: SignedKey
    """In place of the earlier one, whose `key_id` is lower."""
    one_time_keys: Annotated[tuple[SignedKey, ...], msgspec.Meta(max_length=MOST_AT_ONCE)] = ()
    """To be added. Their numbers go up: one that is not above all earlier ones of the device was here before."""
    last_resort_key: SignedKey | None = None
    """Given out when there is no other, again and again; numbered together with the one-time keys."""


class GetKeys(Ask, frozen=True):
    """Nothing but the session."""

    by: Wallet


class OwnDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device as its owner sees it."""

    id: UUID
    name: str | None
    identity_key: IdentityKey
    signed_prekey_id: int
    one_time_keys: int
    """How many are left."""
    is_low: bool
    """Bring more: under ten are left."""
    last_key_id: int
    """The highest number of a one-time or last-resort key that it has had; the next must be above."""
    last_resort_key_id: int | None
    created_at: datetime
    changed_at: datetime


class OwnKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's keys."""

    wallet_address: Wallet
    public_key: PublicKey | None
    keys_version: int
    devices: list[OwnDevice]


class RemoveDevice(Ask, frozen=True):
    """Which; it does not come back."""

    by: Wallet
    device: UUID


class GetUserKeys(Ask, frozen=True, kw_only=True):
    """Whose, and of which device alone, if of one."""

    by: Wallet
    wallet: Wallet
    device: UUID | None = None


class ClaimKeys(GetUserKeys, frozen=True, kw_only=True):
    """Whose, and of which device alone, if of one."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device as others must know it. The wallet has signed for `identity_key` as attestations.py says."""

    id: UUID
    identity_key: IdentityKey
    identity_signature: WalletSignature
    identity_version: int
    chain_id: int


class OneTimeKey(SignedKey, frozen=True):
    """A key for one conversation. The last resort was given to others too, and protects less."""

    is_last_resort: bool


class DeviceKeys(Device, frozen=True, kw_only=True):
    """What it takes to write to a device that one has not written to."""

    signed_prekey: SignedKey
    one_time_key: OneTimeKey | None
    """Null where it was not asked for, or the device has none."""


class UserKeys(msgspec.Struct, frozen=True, kw_only=True):
    """All of one moment."""

    wallet_address: Wallet
    public_key: PublicKey | None
    """For NaCl boxes; null before the first one."""
    keys_version: int
    conversation_id: UUID | None
    roster: int | None
    """What a message to this wallet must name; null of one's own."""
    devices: list[DeviceKeys]


class ListDevices(Ask, frozen=True, kw_only=True):
    """Of everybody in a conversation."""

    by: Wallet
    id: UUID
    cursor: Wallet | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class MemberDevices(msgspec.Struct, frozen=True):
    """One member's."""

    wallet_address: Wallet
    public_key: PublicKey | None
    keys_version: int
    devices: list[Device]


class DevicePage(msgspec.Struct, frozen=True):
    """Who must be encrypted for, of one moment. When the roster of a page is another than that of the page before,
    begin again.
    """

    roster: int
    items: list[MemberDevices]
    next_cursor: Wallet | None


class LogCursor(PageCursor):
    """The cursor of a key log: the last entry of a page."""

    __slots__ = ()
    form = re.compile("newest~[1-9][0-9]{0,18}")

    @property
    def entry(self) -> int:
        """The last entry's number."""
        return int(self.partition("~")[2])

    @classmethod
    def parse(cls, given: object) -> Self:
        parsed = super().parse(given)
        if parsed.entry >= 2**63:
            raise ValueError("must be the next_cursor of an earlier page")
        return parsed


class ListKeyLog(Ask, frozen=True, kw_only=True):
    """Whose."""

    by: Wallet
    wallet: Wallet
    cursor: LogCursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class KeyLogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A key that came, or a device that went."""

    event: str
    """public_key, device, identity, prekey or removed."""
    device_id: UUID | None
    version: int | None
    """The wallet's `keys_version` from then on; they have no gaps. Null of a prekey, which changes nothing."""
    key: str | None
    """In base64; null where a device went."""
    signature: str | None
    """In base64: the wallet's, a prekey's by the identity key. Null of a public key that came with a sign-in."""
    chain_id: int | None
    at: datetime


class KeyLogPage(msgspec.Struct, frozen=True):
    """A page of a wallet's key log, the newest first; `next_cursor` is null at the end."""

    items: list[KeyLogEntry]
    next_cursor: str | None
