"""Money: exact, to six places, finer is refused and never rounded."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.money import MOST, UNIT, Amount, Price, from_units, to_units

MICROS = st.integers(0, int(MOST / UNIT))
DECIMALS = st.integers(6, 18)
PATTERN = re.compile(Amount.schema["pattern"])


@given(MICROS, DECIMALS)
def test_an_amount_survives_the_way_to_base_units_and_back(micros: int, decimals: int) -> None:
    amount = Decimal(micros) * UNIT
    units = to_units(amount, decimals)
    assert units == micros * 10 ** (decimals - 6)
    assert from_units(units, decimals) == amount


@given(st.integers(0, 2**256 - 1), DECIMALS)
def test_base_units_are_exact_or_refused_and_never_rounded(units: int, decimals: int) -> None:
    if units % 10 ** (decimals - 6):
        with pytest.raises(ValueError, match="finer than 6 places"):
            from_units(units, decimals)
    else:
        assert to_units(from_units(units, decimals), decimals) == units


@given(MICROS, st.integers(0, 5))
def test_an_amount_that_a_coarse_token_cannot_express_is_refused(micros: int, decimals: int) -> None:
    amount = Decimal(micros) * UNIT
    if micros % 10 ** (6 - decimals):
        with pytest.raises(ValueError, match="is finer than a token"):
            to_units(amount, decimals)
    else:
        assert to_units(amount, decimals) * 10 ** (6 - decimals) == micros


@pytest.mark.parametrize("decimals", [-1, 0, 5, 19, 77])
def test_a_token_that_cannot_be_listed_has_no_amounts(decimals: int) -> None:
    with pytest.raises(ValueError, match="cannot be listed"):
        from_units(10**30, decimals)


@pytest.mark.parametrize("text", ["0", "1", "25.00", "0.000001", "999999999999.999999", "007"])
def test_a_decimal_string_is_an_amount(text: str) -> None:
    amount = Amount.parse(text)
    assert amount == Decimal(text)
    assert isinstance(amount, Amount)


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ("0.0000001", "at most 6 decimals"),
        ("1.0000000", "at most 6 decimals"),
        ("1000000000000", "at most 999999999999.999999"),
        ("0" * 13, "at most 999999999999.999999"),
        ("9" * 100_000, "at most 999999999999.999999"),
        *[
            (bad, "decimal string")
            for bad in ["", "-1", "+1", "1e3", ".5", "5.", "1_000", "1,5", "NaN", "Infinity", " 1", "1\n", "١٢", 1, 1.5]
        ],
        (None, "decimal string"),
        (True, "decimal string"),
    ],
)
def test_anything_else_is_refused_with_a_reason(given_: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Amount.parse(given_)


@given(st.text("0123456789.-+e_ ", max_size=24))
def test_the_described_pattern_is_what_is_taken(text: str) -> None:
    if PATTERN.fullmatch(text):
        assert format(Amount.parse(text), "f") == format(Decimal(text), "f")
    else:
        with pytest.raises(ValueError, match="must"):
            Amount.parse(text)


def test_a_price_is_at_least_one() -> None:
    assert Price.parse("1.0") == 1
    with pytest.raises(ValueError, match="must be at least 1.0"):
        Price.parse("0.999999")
