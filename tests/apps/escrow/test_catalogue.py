"""The list of products: filters, sorts, pages, words."""

import random
from typing import Any

import asyncpg
import pytest

from tests.apps.escrow.conftest import Caller, Market

SEED = 20261121
WORDS = ("ledger", "atlas", "100%", "under_score", "back\\slash", "archive", "of", "northern", "tariff", "Überseehafen")
FILL = """
INSERT INTO escrow.products (id, seller_wallet, title_preview, description_preview, category, price_usdt, stock,
    total_sold, product_hash, status, created_at)
SELECT gen_random_uuid(), (ARRAY[$1, $2])[1 + n % 2], title, 'Nothing more to say about it.',
    (ARRAY['data', 'tools', 'other']::escrow.product_category[])[1 + n % 3], 1 + (n * 7 % 40), 1, n % 4,
    '0x' || repeat('0', 64), CASE WHEN n % 10 = 9 THEN 'paused' ELSE 'active' END::escrow.product_status,
    '2026-01-01Z'::timestamptz + make_interval(secs => n / 3)
FROM unnest($3::text[]) WITH ORDINALITY AS t(title, n)
"""


@pytest.fixture
async def stock(market: Market, seller: Caller, buyer: Caller) -> list[asyncpg.Record]:
    """A hundred and twenty listings of two sellers, many of the same moment and the same price."""
    print("seed", SEED)
    chance = random.Random(SEED)
    titles = [" ".join(chance.choices(WORDS, k=4)) for _ in range(120)]
    await market.owner.execute(FILL, seller.wallet, buyer.wallet, titles)
    rows: list[asyncpg.Record] = await market.owner.fetch("SELECT * FROM escrow.products WHERE status = 'active'")
    return rows


async def every_page(caller: Caller, limit: int = 7, **query: Any) -> list[dict[str, Any]]:
    """All items, page after page."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await caller.get("products", limit=limit, **query, **cursor)
        assert answer.status == 200, answer.body
        items += answer.body["items"]
        if answer.body["next_cursor"] is None:
            return items
        assert len(items) <= 200, "the pages go round in a circle"
        cursor = {"cursor": answer.body["next_cursor"]}


SORTS = {
    "newest": lambda row: (-row["created_at"].timestamp(), -row["id"].int),
    "price": lambda row: (row["price_usdt"], row["id"].int),
    "price_desc": lambda row: (-row["price_usdt"], -row["id"].int),
    "best_selling": lambda row: (-row["total_sold"], -row["id"].int),
}


@pytest.mark.parametrize("sort", SORTS)
async def test_pages_hold_every_listing_once_and_in_order(
    market: Market, stock: list[asyncpg.Record], sort: str
) -> None:
    found = [item["id"] for item in await every_page(market.stranger(), sort=sort)]
    assert found == [str(row["id"]) for row in sorted(stock, key=SORTS[sort])]


async def test_every_combination_of_filters_finds_what_fits(market: Market, stock: list[asyncpg.Record]) -> None:
    seller = stock[0]["seller_wallet"]
    for query in (
        {"category": "tools"},
        {"min_price": "10", "max_price": "20.5"},
        {"category": "data", "min_price": "30"},
        {"seller": seller, "sort": "price"},
        {"seller": seller.lower(), "category": "other", "max_price": "12", "sort": "best_selling"},
    ):
        found = {item["id"] for item in await every_page(market.stranger(), limit=5, **query)}
        assert found == {str(row["id"]) for row in stock if fits(row, query)}, query


def fits(row: asyncpg.Record, query: dict[str, str]) -> bool:
    """What a filter means."""
    return (
        row["category"] == query.get("category", row["category"])
        and float(query.get("min_price", 0)) <= row["price_usdt"] <= float(query.get("max_price", 1e9))
        and row["seller_wallet"].lower() == query.get("seller", row["seller_wallet"]).lower()
    )


@pytest.mark.parametrize(
    "words", ["archive", "ARCHIVE OF", "ühafen", "überSEE", "100%", "r_s", "k\\s", "%", "of", "x9q"]
)
async def test_a_search_finds_the_words_as_they_stand_in_any_case(
    market: Market, stock: list[asyncpg.Record], words: str
) -> None:
    found = {item["id"] for item in await every_page(market.stranger(), q=words)}
    text = {row["id"]: f"{row['title_preview']} {row['description_preview']}".lower() for row in stock}
    assert found == {str(product) for product, told in text.items() if words.lower() in told}


async def test_a_search_can_be_filtered_and_sorted_too(market: Market, stock: list[asyncpg.Record]) -> None:
    query = {"q": "ledger", "category": "data", "min_price": "5", "sort": "price_desc"}
    found = [item["id"] for item in await every_page(market.stranger(), limit=3, **query)]
    wanted = [row for row in stock if "ledger" in row["title_preview"] and fits(row, query)]
    assert found == [str(row["id"]) for row in sorted(wanted, key=SORTS["price_desc"])]
    assert found


async def test_a_page_has_twenty_listings_unless_asked_otherwise(market: Market, stock: list[asyncpg.Record]) -> None:
    answer = await market.stranger().get("products")
    assert len(answer.body["items"]) == 20
    assert len((await market.stranger().get("products", limit=100)).body["items"]) == 100
    assert len(stock) > 100


async def test_what_is_listed_while_someone_turns_pages_moves_nothing(
    market: Market, seller: Caller, stock: list[asyncpg.Record]
) -> None:
    first = (await seller.get("products", limit=10)).body
    await seller.lists()
    second = (await seller.get("products", limit=10, cursor=first["next_cursor"])).body
    found = [item["id"] for item in first["items"] + second["items"]]
    assert found == [str(row["id"]) for row in sorted(stock, key=SORTS["newest"])][:20]
