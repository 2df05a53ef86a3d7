"""Profiles: what their calls take and answer."""

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType

from entrepot.apps.escrow.model import Tier
from entrepot.kernel.http.route import Ask
from entrepot.kernel.money import Amount
from entrepot.kernel.values import PublicKey, Text
from entrepot.kernel.wallet import Wallet


class DisplayName(Text):
    """What a user wants to be called."""

    __slots__ = ()
    most = 50
    example = "Danube Data"


class GetProfile(Ask, frozen=True):
    """One user."""

    wallet: Wallet


class EditProfile(Ask, frozen=True):
    """What of one's own profile shall be otherwise; what is not named stays."""

    by: Wallet
    display_name: DisplayName | UnsetType | None = UNSET
    """Null takes the name away."""
    public_key: PublicKey | UnsetType = UNSET
    """A new NaCl public key; earlier ones are kept, so that old messages stay attributable."""


class Profile(msgspec.Struct, frozen=True):
    """What everyone may know of a user."""

    wallet: Wallet
    display_name: str | None
    public_key: PublicKey | None
    """Null while the wallet has traded on the contract only and never signed in here."""
    reputation_score: Decimal
    total_trades: int
    total_as_buyer: int
    total_as_seller: int
    rating: Amount | None
    tier: Tier
    created_at: datetime
    updated_at: datetime
