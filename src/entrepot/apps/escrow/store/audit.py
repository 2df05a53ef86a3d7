"""SQL of the audit. Each statement answers with the cursor too, so that what it says is of one block."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.escrow.model import OPEN, OrderStatus
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.db.doors import Read, noun
from entrepot.kernel.db.query import Query

CURSOR = """SELECT last_block, last_hash FROM escrow.event_sync_cursor
        WHERE chain = :chain AND contract = :contract"""
HELD = f"({', '.join(repr(status.value) for status in sorted(OPEN))})"
ORDERS = "FROM escrow.orders o WHERE o.chain = :chain AND o.orphaned_at IS NULL"
TALLY = Query(f"""
    WITH page AS (
        SELECT o.onchain_order_id AS number, o.status, o.token::text AS token, o.amount + o.platform_fee AS locked,
            lag(o.onchain_order_id, 1, :after::bigint) OVER (ORDER BY o.onchain_order_id) AS before
        FROM (SELECT * {ORDERS} AND o.onchain_order_id > :after ORDER BY o.onchain_order_id LIMIT :most::bigint) o
    ), held AS (SELECT token, sum(locked) AS sum FROM page WHERE status IN {HELD} GROUP BY token)
    SELECT max(number) AS highest,
        coalesce(array_agg(before + 1 ORDER BY number) FILTER (WHERE number > before + 1), '{{}}') AS gap_starts,
        coalesce(array_agg(number - 1 ORDER BY number) FILTER (WHERE number > before + 1), '{{}}') AS gap_ends,
        (SELECT coalesce(array_agg(token), '{{}}') FROM held) AS tokens,
        (SELECT coalesce(array_agg(sum), '{{}}') FROM held) AS sums
    FROM page HAVING count(*) > 0
""")
FIELDS = """o.id, o.onchain_order_id, o.status, o.buyer_wallet, o.seller_wallet, o.arbitrator_wallet, o.token,
            o.amount, o.platform_fee, o.seller_deadline, o.release_deadline, o.dispute_deadline, o.default_deadline,
            o.draw_block, o.delivery_hash, o.is_direct"""


def _page(condition: str) -> Query:
    """One row at least, where there is a cursor; its `id` is null where no order is left."""
    return Query(f"""
        SELECT c.last_block AS block, c.last_hash AS hash, o.*
        FROM ({CURSOR}) c LEFT JOIN (
            SELECT {FIELDS} {ORDERS} AND o.onchain_order_id > :after {condition}
            ORDER BY o.onchain_order_id LIMIT :most::bigint
        ) o ON true
        ORDER BY o.onchain_order_id
    """)


OPEN_ORDERS = _page(f"AND o.status IN {HELD}")
EVERY_ORDER = _page("")
# By indexes alone; orphaned orders have negative numbers.
COUNT = Query(f"""
    SELECT (SELECT count(*) FROM escrow.orders o WHERE o.chain = :chain AND o.onchain_order_id > 0) AS orders,
        (SELECT count(*) {ORDERS} AND o.status IN {HELD}) AS open
""")


class Count(msgspec.Struct, frozen=True):
    """How many orders there are, and how many of them have not ended."""

    orders: int
    open: int


class Tally(msgspec.Struct, frozen=True):
    """Some orders on end, by the contract's numbers."""

    highest: int
    gap_starts: list[int]
    gap_ends: list[int]
    """First and last of the numbers that no order has, stretch by stretch."""
    tokens: list[str]
    sums: list[Decimal]
    """What those of them that are open hold of each of these tokens, fees included."""


class Totals(msgspec.Struct, frozen=True):
    """What the mirror says of a chain as a whole, at the block that it has reached."""

    block: int
    hash: str
    highest: int
    """The highest of the contract's numbers."""
    missing: list[int]
    """Numbers below it that no order has: the lowest of them."""
    sums: Mapping[str, Decimal]
    """What open orders hold, by token, fees included."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An order, as far as the contract knows it as well."""

    id: UUID
    onchain_order_id: int
    status: OrderStatus
    buyer_wallet: str
    seller_wallet: str
    arbitrator_wallet: str | None
    token: str
    amount: Decimal
    platform_fee: Decimal
    seller_deadline: datetime
    release_deadline: datetime | None
    dispute_deadline: datetime | None
    default_deadline: datetime | None
    draw_block: int | None
    delivery_hash: str | None
    is_direct: bool


class Page(msgspec.Struct, frozen=True):
    """Orders by the contract's number, as they were when the mirror had reached that block."""

    block: int
    hash: str
    rows: Sequence[Row]


async def tally(db: Read, chain: str, after: int, most: int) -> Tally | None:
    """The next orders as a whole; None where no more are."""
    return await db.maybe(Tally, TALLY, chain=chain, after=after, most=most)


async def page(db: Read, contract: Deployed, after: int, most: int, *, every: bool) -> Page | None:
    """The next orders, with those that have ended or without; None where nothing has been mirrored yet."""
    given: dict[str, Any] = {"chain": contract.chain, "contract": contract.address, "after": after, "most": most}
    found = await db.rows(EVERY_ORDER if every else OPEN_ORDERS, **given)
    if not found:
        return None
    rows = [noun(Row, each) for each in found if each["id"] is not None]
    return Page(found[0]["block"], found[0]["hash"], rows)


async def count(db: Read, chain: str) -> Count:
    """How many orders there are of a chain."""
    return await db.one(Count, COUNT, chain=chain)
