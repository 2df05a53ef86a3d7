"""Outcomes: what their call answers."""

from datetime import datetime
from uuid import UUID

import msgspec

from entrepot.apps.escrow.acts import Act, Doer
from entrepot.apps.escrow.model import OrderStatus, Token
from entrepot.kernel.money import Amount


class Sum(msgspec.Struct, frozen=True):
    """A sum of the order's token."""

    amount: Amount
    units: str
    """In base units of the token, as the contract counts; an integer that may be larger than a double holds."""


class Payouts(msgspec.Struct, frozen=True):
    """What each will be able to withdraw more than before. Together they are what the order locks."""

    buyer: Sum
    seller: Sum
    arbitrator: Sum
    treasury: Sum


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """An act that is legal now."""

    act: Act
    by: list[Doer]
    until: datetime | None
    """Legal before this moment; null where no time ends it."""
    status: OrderStatus
    """What the order is afterwards."""
    payouts: Payouts | None
    """Null where the act does not end the order."""


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done with an order now, and who gets what then."""

    order_id: UUID
    status: OrderStatus
    token: Token
    decimals: int
    locked: Sum
    """Amount and platform fee while the order is open; nothing after."""
    at: datetime
    """The time that this is reckoned for: the chain's."""
    items: list[Outcome]
