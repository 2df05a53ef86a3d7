"""The search by words: whatever the sample guesses, the pages hold what a plain look would find, in its order."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from entrepot.apps.escrow.calls.products import ListProducts, ProductPage, ProductSort
from entrepot.apps.escrow.model import Category
from entrepot.apps.escrow.operations import search
from entrepot.apps.escrow.search.pattern import thinned
from entrepot.apps.escrow.search.plan import labels
from entrepot.apps.escrow.search.sample import Sample, Sampled
from entrepot.apps.escrow.store import search as store
from entrepot.apps.escrow.store.search import Samples
from entrepot.kernel.db.database import Database
from entrepot.kernel.http.paging import Cursor
from entrepot.kernel.money import Amount
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import Text, read_value
from entrepot.kernel.wallet import Wallet
from tests.conftest import TestDatabase, settings_for

SEED = 20261121
COUNT = 3_000
SYLLABLES = ("ra", "ti", "on", "al", "er", "in", "st", "ma", "te", "Re", "co", "ü", "100%", "_", "7")
SELLERS = [Wallet("0x" + f"{n:040x}") for n in range(1, 5)]
BANNED = SELLERS[0]
QUESTIONS = (
    "a",
    "er",
    "zq",
    "rat",
    "Tio",
    "ation",
    "inst",
    "terazz",
    "needle",
    "haystack one",
    "ü",
    "%",
    "_a",
    "al er",
)
OTHER_SORTS = [ProductSort.PRICE, ProductSort.PRICE_DESC, ProductSort.BEST_SELLING]
FILL = """
INSERT INTO escrow.products (id, seller_wallet, title_preview, description_preview, category, price_usdt, stock,
    total_sold, product_hash, status, created_at)
SELECT gen_random_uuid(), seller, title, 'More of it: ' || title, category::escrow.product_category, price, 1, sold,
    '0x' || repeat('0', 64), status::escrow.product_status, made
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::int[], $6::text[], $7::timestamptz[])
    AS t(seller, title, category, price, sold, status, made)
"""


def title(chance: random.Random) -> str:
    """A few words; one in fifty says needle."""
    words = ["".join(chance.choices(SYLLABLES, k=3)) for _ in range(3)]
    return " ".join(words + ["needle"] * (chance.random() < 0.02))


@pytest.fixture
def chance() -> random.Random:
    """The same rows and questions each time."""
    print("seed", SEED)
    return random.Random(SEED)


@pytest.fixture
async def filled(database: TestDatabase, owner: asyncpg.Connection, chance: random.Random) -> AsyncIterator[Database]:
    """Three years of listings, some of them of one moment."""
    for wallet in SELLERS:
        sql = "INSERT INTO escrow.user_profiles (wallet, public_key, is_blacklisted) VALUES ($1, '', $2)"
        await owner.execute(sql, wallet, wallet == BANNED)
    start = datetime(2023, 12, 20, tzinfo=UTC)
    moments = [start + timedelta(days=chance.random() * 1_000, microseconds=n) for n in range(COUNT)]
    moments[:500] = [start + timedelta(days=300)] * 500
    await owner.execute(
        FILL,
        chance.choices(SELLERS, k=COUNT),
        [title(chance) for _ in range(COUNT)],
        chance.choices([*Category], k=COUNT),
        [chance.randint(1, 60) for _ in range(COUNT)],
        chance.choices(range(5), k=COUNT),
        chance.choices(("active", "paused"), (9, 1), k=COUNT),
        moments,
    )
    await owner.execute("ANALYZE escrow.products")
    async with Database(database.url, settings_for(database)) as opened:
        yield opened


ORDERS = {
    ProductSort.NEWEST: "created_at DESC, id DESC",
    ProductSort.PRICE: "price_usdt, id",
    ProductSort.PRICE_DESC: "price_usdt DESC, id DESC",
    ProductSort.BEST_SELLING: "total_sold DESC, id DESC",
}


async def plainly(owner: asyncpg.Connection, ask: ListProducts) -> list[str]:
    """What a look at every row finds."""
    rows = await owner.fetch(
        f"""SELECT id FROM escrow.products
        WHERE status = 'active' AND seller_wallet <> $1 AND category::text = coalesce($3, category::text)
            AND position(lower($2) IN lower(title_preview || ' ' || description_preview)) > 0
            AND price_usdt BETWEEN coalesce($4, 0) AND coalesce($5, 999) ORDER BY {ORDERS[ask.sort]}""",
        *(BANNED, ask.q, ask.category, ask.min_price, ask.max_price),
    )
    return [str(row[0]) for row in rows]


async def page_by_page(database: Database, ask: ListProducts, samples: Samples) -> list[str]:
    """What the search finds; a page may be short, and the sequence must end."""
    found: list[str] = []
    for _ in range(3_000):
        async with database.read() as db:
            answer = await search.products(db, ask, samples, few=0)
        page = msgspec.json.decode(answer, type=ProductPage, strict=True, dec_hook=read_value)
        assert len(page.items) <= ask.limit
        found += [str(item.id) for item in page.items]
        if page.next_cursor is None:
            return found
        ask = msgspec.structs.replace(ask, cursor=Cursor.parse(page.next_cursor))
    raise AssertionError(f"{ask} does not come to its end")


def question(chance: random.Random, words: str, sort: ProductSort) -> ListProducts:
    """Those words with some filters."""
    given: dict[str, Any] = {"q": Text(words), "sort": sort, "limit": chance.choice((7, 20, 100))}
    if chance.random() < 0.4:
        given["category"] = chance.choice([*Category])
    if chance.random() < 0.4:
        given["min_price"] = Amount(chance.randint(1, 40))
    if chance.random() < 0.3:
        given["max_price"] = Amount(chance.randint(10, 60))
    return ListProducts(**given)


@pytest.mark.parametrize("rows", [1, 40, 1_000, 100_000])
async def test_every_way_of_searching_finds_the_same(
    filled: Database, owner: asyncpg.Connection, chance: random.Random, rows: int
) -> None:
    samples = Samples(rows)
    for words in QUESTIONS:
        ask = question(chance, words, ProductSort.NEWEST)
        assert await page_by_page(filled, ask, samples) == await plainly(owner, ask), ask
        ask = question(chance, words, chance.choice(OTHER_SORTS))
        if len(words) > 2 and words != "al er":
            assert await page_by_page(filled, ask, samples) == await plainly(owner, ask), ask


async def test_every_way_was_taken(filled: Database, owner: asyncpg.Connection) -> None:
    ways = (store.walk, store.by_index, store.by_words)
    for cached in ways:
        cached.cache_clear()
    samples = Samples(1_000)
    for words in ("ra", "rat", "needle", "NEEDLE", "terazz", "al er in"):
        ask = ListProducts(q=Text(words))
        assert await page_by_page(filled, ask, samples) == await plainly(owner, ask)
    assert all(cached.cache_info().currsize for cached in ways)


async def test_a_listing_is_found_by_the_words_that_it_was_edited_to(
    filled: Database, owner: asyncpg.Connection
) -> None:
    samples = Samples(1_000)
    await owner.execute(
        """UPDATE escrow.products SET description_preview = 'Now with Zweihänder8 inside' WHERE id =
        (SELECT id FROM escrow.products WHERE status = 'active' AND seller_wallet = $1 LIMIT 1)""",
        SELLERS[1],
    )
    for words in ("nder8", "NDER8", "händer8 in", "zwei", "8 inside"):
        ask = ListProducts(q=Text(words))
        assert len(await page_by_page(filled, ask, samples)) == 1
        assert await page_by_page(filled, ask, samples) == await plainly(owner, ask)


async def test_what_is_listed_after_the_sample_was_taken_is_found(filled: Database, owner: asyncpg.Connection) -> None:
    samples, ask = Samples(200), ListProducts(q=Text("brandnew"), limit=5)
    assert await page_by_page(filled, ask, samples) == []
    for made in ("now()", "'2001-02-03Z'", "'2023-12-19Z'"):
        await owner.execute(
            f"""INSERT INTO escrow.products (seller_wallet, title_preview, description_preview, category, price_usdt,
                product_hash, created_at) VALUES ($1, 'A brandnew thing', '', 'data', 5, '', {made})""",
            SELLERS[1],
        )
    assert await page_by_page(filled, ask, samples) == await plainly(owner, ask)
    assert len(await page_by_page(filled, ask, samples)) == 3


async def test_an_empty_market_is_searched_too(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database)) as opened:
        for sort in ProductSort:
            assert await page_by_page(opened, ListProducts(q=Text("tape"), sort=sort), Samples()) == []


async def test_words_without_a_trigram_can_be_searched_newest_first_only(filled: Database) -> None:
    with pytest.raises(Malformed, match="three letters"):
        await page_by_page(filled, ListProducts(q=Text("al er"), sort=ProductSort.PRICE), Samples())


def test_the_thinned_pattern_keeps_the_words_order_and_is_never_stricter(chance: random.Random) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    texts = ["".join(chance.choices("abcde ", k=60)) for _ in range(300)]
    sample = Sample(100.0, [Sampled(now, text, "data", Amount(1)) for text in texts])
    for _ in range(200):
        text = chance.choice(texts)
        at = chance.randrange(50)
        pattern = thinned(text[at : at + chance.randint(3, 10)], sample)
        pieces, rest = pattern.thin.strip("%").split("%"), text
        for piece in pieces:
            assert piece in rest
            rest = rest[rest.index(piece) + len(piece) :]
        assert sum(len(piece) - 2 for piece in pieces) == pattern.trigrams or pattern.thin == pattern.whole


def test_labels_cover_exactly_the_blocks_between_two_moments() -> None:
    epoch, block = datetime(2000, 1, 1, tzinfo=UTC), timedelta(days=32)
    for first in range(20):
        for last in range(first, 40):
            found = labels(epoch + last * block + timedelta(days=31), epoch + first * block)
            fine = {label for label in found if label < 1_000_000}
            fine |= {(label - 1_000_000) * 8 + n for label in found if label >= 1_000_000 for n in range(8)}
            assert fine == set(range(first, last + 1))
