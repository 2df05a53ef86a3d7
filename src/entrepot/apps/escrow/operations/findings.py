"""What an audit finds: differences, each with what either side says."""

from datetime import datetime
from decimal import Decimal

import msgspec

NOTHING = "-"


class Difference(msgspec.Struct, frozen=True):
    """One thing that the database and the contract say differently."""

    order: int | None
    """The contract's number, where it concerns an order."""
    field: str
    database: str
    contract: str
    wallet: str | None = None
    """The arbitrator, or who has a credit."""


class ChainAudit(msgspec.Struct, kw_only=True):
    """What was found on one chain. `block` is the last that orders were compared at, `fault` why not all was compared.

    `orders`, `arbitrators` and `credits` are how many of each were compared.
    """

    chain: str
    contract: str = ""
    block: int | None = None
    orders: int = 0
    arbitrators: int = 0
    credits: int = 0
    differences: list[Difference] = []
    fault: str = ""

    @property
    def is_well(self) -> bool:
        """Whether all was compared and nothing differs."""
        return not self.fault and not self.differences


def shown(value: object) -> str:
    """A value of either side, for people."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return str(int(value.timestamp()))
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
