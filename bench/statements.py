"""The application's own statements for the query targets, with arguments drawn from the loaded data."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from bench import draft_queries as sql
from bench import draft_search
from bench.latency import Call, Database
from bench.rows import CATEGORIES, END
from bench.words import PLANNED, vocabulary

HIGHEST = UUID(int=2**128 - 1)
PRODUCTS = """
SELECT id, created_at, price_usdt, total_sold, seller_wallet FROM escrow.products TABLESAMPLE SYSTEM (2)
    REPEATABLE (1) WHERE status = 'active' AND deleted_at IS NULL LIMIT 10000"""
DEALS = "SELECT id, buyer_wallet FROM escrow.orders TABLESAMPLE SYSTEM (1) REPEATABLE (1) LIMIT 10000"
LONG_DEALS = """
SELECT order_id FROM escrow.messages TABLESAMPLE SYSTEM (0.5) REPEATABLE (1)
GROUP BY 1 HAVING count(*) > 1 LIMIT 5000"""
SELLERS = "SELECT seller_wallet FROM escrow.products TABLESAMPLE SYSTEM (1) REPEATABLE (2) GROUP BY 1 LIMIT 5000"


@dataclass(frozen=True)
class Target:
    """One line of the table: a name, the p95 that is asked for in milliseconds, and the call."""

    name: str
    goal: float
    call: Call


@dataclass(frozen=True)
class Drawn:
    """Rows that the calls take their arguments from."""

    products: Sequence[asyncpg.Record]
    deals: Sequence[asyncpg.Record]
    long_deals: Sequence[asyncpg.Record]
    sellers: Sequence[asyncpg.Record]
    sample: draft_search.Sample

    @classmethod
    async def take(cls, connection: Database) -> "Drawn":
        """Repeatable samples of the loaded tables."""
        return cls(
            products=await connection.fetch(PRODUCTS),
            deals=await connection.fetch(DEALS),
            long_deals=await connection.fetch(LONG_DEALS),
            sellers=await connection.fetch(SELLERS),
            sample=await draft_search.Sample.take(connection),
        )


def page(drawn: Drawn, statement: str, key: str) -> Call:
    """A page after a random product, by the key of the order."""

    async def call(connection: Database, rng: random.Random) -> object:
        row = rng.choice(drawn.products)
        return await connection.fetchval(statement, 20, row[key], row["id"])

    return call


def filtered(drawn: Drawn) -> list[Target]:
    """Category and price: wide and narrow ranges, ranges with next to nothing, later pages."""
    category, price = "p.category = ${}::escrow.product_category", "p.price_usdt BETWEEN ${}::numeric AND ${}::numeric"
    first = sql.listing(where=(category.format(2), price.format(3, 4)))
    later = sql.listing(after=True, where=(category.format(4), price.format(5, 6)))

    async def usual(connection: Database, rng: random.Random) -> object:
        low = Decimal(rng.choice((1, 5, 20, 50, 200)))
        return await connection.fetchval(first, 20, rng.choice(CATEGORIES), low, low * rng.choice((2, 5, 100)))

    async def rare(connection: Database, rng: random.Random) -> object:
        low = Decimal(rng.randrange(500, 5_000))
        return await connection.fetchval(first, 20, rng.choice(CATEGORIES), low, low + 1)

    async def deep(connection: Database, rng: random.Random) -> object:
        row, low = rng.choice(drawn.products), Decimal(rng.choice((1, 5, 20, 50, 200)))
        values = (rng.choice(CATEGORIES), low, low * 3)
        return await connection.fetchval(later, 20, row["created_at"], row["id"], *values)

    return [
        Target("list, category and price, newest", 50, usual),
        Target("list, category and price, later page", 50, deep),
        Target("list, category and a price range with next to nothing", 50, rare),
    ]


def listings(drawn: Drawn) -> list[Target]:
    """Every kind of product list, first pages and later ones alike."""
    newest, by_seller = sql.listing(), sql.listing(where=("p.seller_wallet = $2::text",))

    async def first(connection: Database, _: random.Random) -> object:
        return await connection.fetchval(newest, 20)

    async def sellers(connection: Database, rng: random.Random) -> object:
        return await connection.fetchval(by_seller, 20, rng.choice(drawn.sellers)["seller_wallet"])

    return [
        Target("list, newest", 50, first),
        Target("list, newest, later page", 50, page(drawn, sql.listing(after=True), "created_at")),
        *filtered(drawn),
        Target("list, cheapest first, later page", 50, page(drawn, sql.listing("price", after=True), "price_usdt")),
        Target("list, dearest first, later page", 50, page(drawn, sql.listing("price_desc", after=True), "price_usdt")),
        Target("list, best-selling, later page", 50, page(drawn, sql.listing("sold", after=True), "total_sold")),
        Target("list, one seller", 50, sellers),
    ]


def lookups(drawn: Drawn) -> list[Target]:
    """Single rows, messages and the scans of the keeper."""

    async def product(connection: Database, rng: random.Random) -> object:
        return await connection.fetchval(sql.PRODUCT, rng.choice(drawn.products)["id"])

    async def order(connection: Database, rng: random.Random) -> object:
        deal = rng.choice(drawn.deals)
        return await connection.fetchval(sql.ORDER, deal["id"], deal["buyer_wallet"])

    async def profile(connection: Database, rng: random.Random) -> object:
        return await connection.fetchval(sql.PROFILE, rng.choice(drawn.sellers)["seller_wallet"])

    async def messages(connection: Database, rng: random.Random) -> object:
        deal = rng.choice(drawn.long_deals)["order_id"]
        return await connection.fetchval(sql.MESSAGES, deal, END + timedelta(days=1), HIGHEST)

    async def seller_due(connection: Database, _: random.Random) -> object:
        return await connection.fetch(sql.SELLER_TIMEOUTS, END - timedelta(hours=24), 500)

    async def buyer_due(connection: Database, _: random.Random) -> object:
        return await connection.fetch(sql.BUYER_TIMEOUTS, END - timedelta(hours=72), 500)

    return [
        Target("product by id, with its seller", 10, product),
        Target("order by id", 10, order),
        Target("profile", 10, profile),
        Target("50 messages", 30, messages),
        Target("timeout scan, sellers", 200, seller_due),
        Target("timeout scan, buyers", 200, buyer_due),
    ]


def searches(drawn: Drawn) -> list[Target]:
    """Each planned word, first page; later pages from random moments; words of two letters."""

    def search(text: str, *, later: bool) -> Call:
        async def call(connection: Database, rng: random.Random) -> object:
            at: datetime | None = rng.choice(drawn.products)["created_at"] if later else None
            return await draft_search.search(connection, drawn.sample, text, 20, at)

        return call

    words = vocabulary()
    texts = [(word.name, word.text) for word in PLANNED]
    texts += [("ordinary word", words[200]), ("two common words", f"{words[0]} {words[1]}")]
    texts += [("two letters, common", "er"), ("two letters, absent", "zq")]
    found = [Target(f"search, {name}", 50, search(text, later=False)) for name, text in texts]
    return found + [Target(f"search, {name}, later page", 50, search(text, later=True)) for name, text in texts]
