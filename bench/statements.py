"""The query targets, read by the application's own functions, with arguments drawn from the loaded data."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from asyncpg import Record

from bench.latency import Call
from bench.rows import CATEGORIES, END
from bench.words import PLANNED, vocabulary
from entrepot.apps.escrow.calls.messages import ListMessages
from entrepot.apps.escrow.calls.orders import ListOrders
from entrepot.apps.escrow.calls.products import ListProducts, ProductSort
from entrepot.apps.escrow.operations import search
from entrepot.apps.escrow.store import catalogue, messages, orders, products, profiles, timeouts
from entrepot.apps.escrow.store.search import Samples
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.http.paging import Cursor
from entrepot.kernel.values import Text
from entrepot.kernel.wallet import Wallet

PRODUCTS = Query("""
    SELECT id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS newest,
        price_usdt::text AS price, total_sold::text AS best_selling, seller_wallet
    FROM escrow.products TABLESAMPLE SYSTEM (2) REPEATABLE (1)
    WHERE status = 'active' AND deleted_at IS NULL LIMIT 10000
""")
DEALS = Query("""
    SELECT id, buyer_wallet FROM escrow.orders TABLESAMPLE SYSTEM (1) REPEATABLE (1) LIMIT 10000
""")
LONG_DEALS = Query("""
    SELECT o.id, o.buyer_wallet FROM escrow.orders o WHERE o.id IN (
        SELECT order_id FROM escrow.messages TABLESAMPLE SYSTEM (0.5) REPEATABLE (1)
        GROUP BY 1 HAVING count(*) > 1 LIMIT 5000)
""")
RANGES = (1, 5, 20, 50, 200)


@dataclass(frozen=True)
class Target:
    """One line of the table: a name, the p95 that is asked for in milliseconds, and the call."""

    name: str
    goal: float
    call: Call


@dataclass(frozen=True)
class Drawn:
    """Rows that the calls take their arguments from, and the sample that searches go by."""

    products: Sequence[Record]
    deals: Sequence[Record]
    long_deals: Sequence[Record]
    samples: Samples

    @classmethod
    async def take(cls, db: Read) -> "Drawn":
        """Repeatable samples of the loaded tables."""
        samples = Samples()
        await samples.at_hand(db)
        return cls(await db.rows(PRODUCTS), await db.rows(DEALS), await db.rows(LONG_DEALS), samples)

    def cursor(self, rng: random.Random, sort: ProductSort) -> Cursor:
        """The place after some product, in that order."""
        row = rng.choice(self.products)
        key = row["price" if sort is ProductSort.PRICE_DESC else str(sort)]
        return Cursor(f"{sort}~{key}~{row['id']}")


def listed(drawn: Drawn, sort: ProductSort = ProductSort.NEWEST, *, later: bool = True, **filters: Any) -> Call:
    """A page of a list; a filter that is a function draws its value anew for each call."""

    async def call(db: Read, rng: random.Random) -> object:
        given = {name: value(rng) for name, value in filters.items()}
        cursor = drawn.cursor(rng, sort) if later else None
        return await catalogue.products(db, ListProducts(sort=sort, cursor=cursor, **given))

    return call


def narrow(drawn: Drawn, *, rare: bool, later: bool) -> Call:
    """A category and a range of prices."""

    async def call(db: Read, rng: random.Random) -> object:
        low = Decimal(rng.randrange(500, 5_000) if rare else rng.choice(RANGES))
        high = low + 1 if rare else low * rng.choice((2, 5, 100))
        cursor = drawn.cursor(rng, ProductSort.NEWEST) if later else None
        given: dict[str, Any] = {"category": rng.choice(CATEGORIES), "min_price": low, "max_price": high}
        return await catalogue.products(db, ListProducts(cursor=cursor, **given))

    return call


def listings(drawn: Drawn) -> list[Target]:
    """Every kind of product list, first pages and later ones alike."""
    return [
        Target("list, newest", 50, listed(drawn, later=False)),
        Target("list, newest, later page", 50, listed(drawn)),
        Target("list, category and price, newest", 50, narrow(drawn, rare=False, later=False)),
        Target("list, category and price, later page", 50, narrow(drawn, rare=False, later=True)),
        Target("list, category and a price range with next to nothing", 50, narrow(drawn, rare=True, later=False)),
        Target("list, cheapest first, later page", 50, listed(drawn, ProductSort.PRICE)),
        Target("list, dearest first, later page", 50, listed(drawn, ProductSort.PRICE_DESC)),
        Target("list, best-selling, later page", 50, listed(drawn, ProductSort.BEST_SELLING)),
        Target(
            "list, one seller",
            50,
            listed(drawn, later=False, seller=lambda rng: rng.choice(drawn.products)["seller_wallet"]),
        ),
    ]


def lookups(drawn: Drawn) -> list[Target]:
    """Single rows, messages and the scans of the keeper."""

    async def product(db: Read, rng: random.Random) -> object:
        return await products.detail(db, rng.choice(drawn.products)["id"])

    async def order(db: Read, rng: random.Random) -> object:
        deal = rng.choice(drawn.deals)
        return await orders.order(db, deal["id"], Wallet(deal["buyer_wallet"]))

    async def own_orders(db: Read, rng: random.Random) -> object:
        return await orders.orders(db, ListOrders(by=Wallet(rng.choice(drawn.deals)["buyer_wallet"])))

    async def profile(db: Read, rng: random.Random) -> object:
        return await profiles.profile(db, Wallet(rng.choice(drawn.products)["seller_wallet"]))

    async def page_of_messages(db: Read, rng: random.Random) -> object:
        deal = rng.choice(drawn.long_deals)
        return await messages.messages(db, ListMessages(by=Wallet(deal["buyer_wallet"]), id=deal["id"]))

    async def expiries(db: Read, _: random.Random) -> object:
        return await timeouts.due_expiries(db, "bsc", END + timedelta(days=4), 100)

    async def releases(db: Read, _: random.Random) -> object:
        return await timeouts.due_releases(db, "bsc", END + timedelta(days=4), 100)

    return [
        Target("product by id, with its seller", 10, product),
        Target("order by id", 10, order),
        Target("one's orders, first page", 50, own_orders),
        Target("profile", 10, profile),
        Target("50 messages", 30, page_of_messages),
        Target("timeout scan, sellers", 200, expiries),
        Target("timeout scan, buyers", 200, releases),
    ]


def searches(drawn: Drawn) -> list[Target]:
    """Each planned word, first page; later pages from random moments; words of two letters."""

    def searched(text: str, *, later: bool) -> Call:
        async def call(db: Read, rng: random.Random) -> object:
            cursor = drawn.cursor(rng, ProductSort.NEWEST) if later else None
            return await search.products(db, ListProducts(q=Text(text), cursor=cursor), drawn.samples)

        return call

    words = vocabulary()
    texts = [(word.name, word.text) for word in PLANNED]
    texts += [("ordinary word", words[200]), ("two common words", f"{words[0]} {words[1]}")]
    texts += [("two letters, common", "er"), ("two letters, absent", "zq")]
    found = [Target(f"search, {name}", 50, searched(text, later=False)) for name, text in texts]
    return found + [Target(f"search, {name}, later page", 50, searched(text, later=True)) for name, text in texts]
