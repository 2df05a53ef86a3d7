"""Money is integer base units on a chain and exact decimals with six places in the database; never a float."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Self

from entrepot.kernel.values import Value

PLACES = 6
UNIT = Decimal(1).scaleb(-PLACES)
MOST = Decimal(10) ** 12 - UNIT  # what numeric(18,6) holds
DECIMALS = range(PLACES, 19)  # of the tokens that can be listed
FORM = re.compile(r"(?P<whole>[0-9]+)(\.(?P<part>[0-9]+))?", re.ASCII)


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
        form = FORM.fullmatch(given) if isinstance(given, str) else None
        if form is None:
            raise ValueError('must be a decimal string such as "25.00"')
        if len(form["part"] or "") > PLACES:
            raise ValueError(f"must have at most {PLACES} decimals")
        amount = cls(form[0])
        if len(form["whole"]) > 12 or amount > cls.most:
            raise ValueError(f"must be at most {cls.most}")
        if amount < cls.least:
            raise ValueError(f"must be at least {cls.least}")
        return amount


class Price(Amount):
    """What a listing costs: an amount of at least 1.0."""

    __slots__ = ()
    least = Decimal("1.0")


def to_units(amount: Decimal, decimals: int) -> int:
    """Base units of a token; raises ValueError where the token cannot express the amount exactly."""
    scaled = Fraction(amount) * 10**decimals
    if scaled.denominator != 1:
        raise ValueError(f"{amount} is finer than a token of {decimals} decimals")
    units: int = scaled.numerator
    return units


def from_units(units: int, decimals: int) -> Decimal:
    """The amount, to six places; raises ValueError for anything finer, which is refused and never rounded."""
    if decimals not in DECIMALS:
        raise ValueError(f"a token of {decimals} decimals cannot be listed")
    scale = 10 ** (decimals - PLACES)
    micros, rest = divmod(units, scale)
    if rest:
        raise ValueError(f"{units} base units of a token of {decimals} decimals are finer than {PLACES} places")
    return Decimal(f"{micros}e-{PLACES}")
