"""Reputation as a table: what the end of an order is worth to its buyer and to its seller, in points."""

from collections.abc import Mapping
from decimal import Decimal

from entrepot.apps.escrow.model import OrderStatus

TRADES = frozenset({OrderStatus.COMPLETED, OrderStatus.RESOLVED_BUYER, OrderStatus.RESOLVED_SELLER})
"""States in which an order is a trade: it counts, and may be reviewed. Reviews count while their order is one."""

TRADE, WON, LOST = Decimal(1), Decimal(1), Decimal(-3)
Worth = Mapping[OrderStatus, Decimal]
"""Points by the state of an order; a cancellation is charged only to the one who cancelled."""

AS_BUYER: Worth = {
    OrderStatus.COMPLETED: TRADE,
    OrderStatus.RESOLVED_BUYER: TRADE + WON,
    OrderStatus.RESOLVED_SELLER: TRADE + LOST,
    OrderStatus.CANCELLED: Decimal("-0.5"),
}
AS_SELLER: Worth = {
    OrderStatus.COMPLETED: TRADE,
    OrderStatus.RESOLVED_BUYER: TRADE + LOST,
    OrderStatus.RESOLVED_SELLER: TRADE + WON,
    OrderStatus.CANCELLED: Decimal(-2),
}
FIVE_STARS = Decimal("0.5")
"""For a review of five stars; any other is worth nothing."""

MOST = Decimal("9999.99")
"""What the score's column, numeric(6,2), holds: a score stops here and at its negative, and does not go over. It is
then counted anew at each change, so that what lies beyond is not forgotten when the score comes back."""

STANDARD_FROM, TRUSTED_FROM = 10, 100
"""Trades; `TRUSTED_RATING` is asked for beside the second number, of the rating as it is shown."""
TRUSTED_RATING = Decimal("4.0")


def earned(side: Worth, wallet: str, status: OrderStatus, cancelled_by: str | None) -> Decimal:
    """What an order in this state is worth to the wallet on that side of it."""
    if status is OrderStatus.CANCELLED and cancelled_by != wallet:
        return Decimal(0)
    return side.get(status, Decimal(0))
