"""Daily figures: what their call answers."""

from datetime import date

import msgspec

from entrepot.kernel.money import Amount


class DayStats(msgspec.Struct, frozen=True):
    """The orders that were made on one day, in UTC, as they stand now."""

    day: date
    total_orders: int
    completed: int
    disputes: int
    """Those that are disputed, or were and have been ruled on."""
    cancelled: int
    total_volume: Amount
    """The amounts of those that are completed, whatever the token."""
    total_fees: Amount
    """Their platform fees."""


class DailyStats(msgspec.Struct, frozen=True):
    """Thirty days without a gap, the newest first; today is not over."""

    items: list[DayStats]
