"""Money is integer base units on a chain and exact decimals with six places in the database; never a float."""

from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Self

from entrepot.kernel.values import Value

PLACES = 6
UNIT = Decimal(1).scaleb(-PLACES)
MOST = Decimal(10) ** 12 - UNIT  # what numeric(18,6) holds


class Amount(Value, Decimal):
    """A sum of tokens: a decimal string of at most six places, from 0 to 999,999,999,999.999999."""

    __slots__ = ()
    least: ClassVar[Decimal] = Decimal(0)
    most: ClassVar[Decimal] = MOST
    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$",
        "examples": ["25.00"],
    }

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str | Decimal):
            raise ValueError('must be a decimal string such as "25.00"')
        try:
            amount = cls(given)
        except InvalidOperation:
            raise ValueError('must be a decimal string such as "25.00"') from None
        if isinstance(given, str) and given.strip("0123456789."):
            raise ValueError("must be plain digits with at most one point")
        if amount < cls.least:
            raise ValueError(f"must be at least {cls.least}")
        if amount > cls.most:
            raise ValueError(f"must be at most {cls.most}")
        if amount != amount.quantize(UNIT):
            raise ValueError(f"must have at most {PLACES} decimals")
        return amount


class Price(Amount):
    """What a listing costs: an amount of at least 1.0."""

    __slots__ = ()
    least = Decimal("1.0")


def to_units(amount: Decimal, decimals: int) -> int:
    """Base units of a token; raises ValueError where the token cannot express the amount exactly."""
    scaled = amount.scaleb(decimals)
    units = int(scaled)
    if units != scaled:
        raise ValueError(f"{amount} is finer than a token of {decimals} decimals")
    return units


def from_units(units: int, decimals: int) -> Decimal:
    """The amount, to six places; raises ValueError for anything finer, which is refused and never rounded."""
    scale = 10 ** (decimals - PLACES)
    micros, rest = divmod(units, scale)
    if rest:
        raise ValueError(f"{units} base units of a token of {decimals} decimals are finer than {PLACES} places")
    return Decimal(micros).scaleb(-PLACES)
