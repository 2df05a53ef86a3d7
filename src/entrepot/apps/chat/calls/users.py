"""Users: what their calls take and answer."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import PublicKey, Text
from entrepot.kernel.wallet import Wallet

WalletSignature = Annotated[
    str, msgspec.Meta(pattern="^0x([0-9a-fA-F]{2})+$", max_length=8194, examples=["0x" + "5e" * 64 + "1b"])
]
"""65 bytes by a plain account (EIP-191); whatever a contract wallet takes (ERC-1271)."""
ChainId = Annotated[int, msgspec.Meta(gt=0, le=2**53 - 1, examples=[1])]
KeysVersion = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class UserName(Text):
    """What a user wants to be called; nobody else is kept from being called the same."""

    __slots__ = ()
    most = 50
    example = "Ada"


class GetMe(Ask, frozen=True):
    """Nothing but the session."""

    by: Wallet


class Me(msgspec.Struct, frozen=True):
    """What the caller is here."""

    wallet_address: Wallet
    name: str | None
    public_key: PublicKey | None
    keys_version: int
    """How often the wallet's keys have changed: a new key names this and one more in what the wallet signs."""
    created_at: datetime


class EditMe(Ask, frozen=True, kw_only=True):
    """What shall be otherwise; what is not named stays."""

    by: Wallet
    name: UserName | UnsetType | None = UNSET
    """Null takes the name away."""
    public_key: PublicKey | UnsetType = UNSET
    """A new NaCl public key, which needs the three that follow."""
    version: KeysVersion | None = None
    """The wallet's `keys_version` and one more."""
    chain_id: ChainId = 1
    """Where a contract wallet is; any chain for a plain account."""
    signature: WalletSignature | None = None
    """The wallet's, of the text that attestations.py makes of these."""


class FindUsers(Ask, frozen=True, kw_only=True):
    """The beginning of a name, or at least four hexadecimal digits of a wallet."""

    by: Wallet
    q: Annotated[str, msgspec.Meta(min_length=2, max_length=50, examples=["ada"])]


class GetUser(Ask, frozen=True):
    """One user."""

    by: Wallet
    wallet: Wallet


class User(msgspec.Struct, frozen=True):
    """What others may know of a user."""

    wallet_address: Wallet
    name: str | None
    public_key: PublicKey | None
    """Null before the first one."""
    created_at: datetime


class FoundUsers(msgspec.Struct, frozen=True):
    """Twenty at the most: those whose names begin so, in the order of names, then those with such a wallet."""

    items: list[User]
