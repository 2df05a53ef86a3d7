"""SQL of the audit. Each statement answers with the cursor too, so that what it says is of one block."""

from collections.abc import Sequence
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
TOTALS = Query(f"""
    SELECT c.last_block AS block, c.last_hash AS hash, t.orders, t.highest, s.tokens, s.sums, ARRAY(
        SELECT n FROM generate_series(1, t.highest) AS n
        WHERE t.orders < t.highest AND NOT EXISTS (SELECT {ORDERS} AND o.onchain_order_id = n)
        ORDER BY n LIMIT :most::bigint) AS missing
    FROM ({CURSOR}) c
    CROSS JOIN (SELECT count(*) AS orders, coalesce(max(o.onchain_order_id), 0) AS highest {ORDERS}) t
    CROSS JOIN (
        SELECT coalesce(array_agg(token), '{{}}') AS tokens, coalesce(array_agg(held), '{{}}') AS sums
        FROM (SELECT o.token::text, sum(o.amount + o.platform_fee) AS held {ORDERS} AND o.status IN {HELD} GROUP BY 1) h
    ) s
""")
FIELDS = """o.id, o.onchain_order_id, o.status, o.buyer_wallet, o.seller_wallet, o.arbitrator_wallet, o.token,
            o.amount, o.platform_fee, o.seller_deadline, o.release_deadline, o.dispute_deadline, o.delivery_hash,
            o.is_direct"""


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
COUNT = Query(f"SELECT count(*) AS orders, count(*) FILTER (WHERE o.status IN {HELD}) AS open {ORDERS}")


class Count(msgspec.Struct, frozen=True):
    """How many orders there are, and how many of them have not ended."""

    orders: int
    open: int


class Totals(msgspec.Struct, frozen=True):
    """What the mirror says of a chain as a whole, at the block that it has reached."""

    block: int
    hash: str
    orders: int
    highest: int
    """The highest of the contract's numbers."""
    missing: list[int]
    """Numbers below it that no order has: the lowest of them."""
    tokens: list[str]
    sums: list[Decimal]
    """What open orders hold of each of these tokens, fees included."""


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
    delivery_hash: str | None
    is_direct: bool


class Page(msgspec.Struct, frozen=True):
    """Orders by the contract's number, as they were when the mirror had reached that block."""

    block: int
    hash: str
    rows: Sequence[Row]


async def totals(db: Read, contract: Deployed, most: int) -> Totals | None:
    """None where nothing has been mirrored yet."""
    return await db.maybe(Totals, TOTALS, chain=contract.chain, contract=contract.address, most=most)


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
