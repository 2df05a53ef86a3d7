"""The demonstration's goods: fifty sellers with ten listings each, always the same ones, from curated words."""

import hashlib
import random
from decimal import Decimal
from importlib import resources

import msgspec

SEED = 1848
CENTS = (Decimal("0.00"), Decimal("0.00"), Decimal("0.50"), Decimal("0.90"))


class Form(msgspec.Struct, frozen=True):
    """One kind of listing in a line of business. `n` and `price` are ranges, ends included; prices are whole tokens."""

    title: str
    text: str
    n: tuple[int, int]
    price: tuple[int, int]


class Line(msgspec.Struct, frozen=True):
    """A line of business: every subject in every form is one listing."""

    category: str
    sellers: list[str]
    subjects: list[str]
    closings: list[str]
    form: list[Form]


class _Catalogue(msgspec.Struct, frozen=True):
    line: list[Line]


class Good(msgspec.Struct, frozen=True):
    """A listing, in the fields of `POST /products`."""

    title_preview: str
    description_preview: str
    category: str
    price_usdt: str
    stock: int
    product_hash: str


class Shop(msgspec.Struct, frozen=True):
    """A seller and what is sold."""

    name: str
    goods: list[Good]


def shops() -> list[Shop]:
    """All fifty."""
    text = (resources.files("entrepot.dev") / "catalogue.toml").read_bytes()
    dice = random.Random(SEED)  # noqa: S311 - it shuffles wares
    return [shop for line in msgspec.toml.decode(text, type=_Catalogue).line for shop in _of_line(line, dice)]


def _of_line(line: Line, dice: random.Random) -> list[Shop]:
    goods = [_good(line, subject, form, dice) for subject in line.subjects for form in line.form]
    dice.shuffle(goods)
    share = len(goods) // len(line.sellers)
    return [Shop(name, goods[at * share : (at + 1) * share]) for at, name in enumerate(line.sellers)]


def _good(line: Line, subject: str, form: Form, dice: random.Random) -> Good:
    number, price = dice.randint(*form.n), dice.randint(*form.price) + dice.choice(CENTS)
    title, text = (each.format(s=subject, n=number) for each in (form.title, form.text))
    title = title.replace("  ", " ")
    return Good(
        title[:1].upper() + title[1:],
        f"{text} {dice.choice(line.closings)}",
        line.category,
        f"{price:.2f}",
        dice.choice((1, 3, 5, 10, 25, 100)),
        "0x" + hashlib.sha256(f"{title}\n{text}".encode()).hexdigest(),
    )
