"""SQL of reputations: moved by what orders change, or counted anew from all orders and reviews; both by one table.

Everything here holds the profiles' rows, which are locked in the order of their wallets and after any product's.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from entrepot.apps.escrow.points import (
    AS_BUYER,
    AS_SELLER,
    FIVE_STARS,
    MOST,
    STANDARD_FROM,
    TRADES,
    TRUSTED_FROM,
    TRUSTED_RATING,
    Worth,
)
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query


def any_of(states: Iterable[str]) -> str:
    """The states as a list of SQL."""
    return ", ".join(f"'{state}'" for state in sorted(states))


def tier(trades: str, rating: str) -> str:
    """The tier that these make."""
    return f"""CASE WHEN {trades} >= {TRUSTED_FROM} AND {rating} >= {TRUSTED_RATING} THEN 'trusted'
        WHEN {trades} >= {STANDARD_FROM} THEN 'standard' ELSE 'new' END::escrow.user_tier"""


def within(score: str) -> str:
    """The score, where the column can hold it, or the nearest that it can."""
    return f"greatest(-{MOST}, least({MOST}, {score}))"


STANDS = f"o.orphaned_at IS NULL AND o.status IN ({any_of(TRADES)})"
"""Whether an order is a trade."""


def side(column: str, worth: Worth) -> str:
    """Trades and points of wallet `w` on one side of its orders, read by that side's own index."""
    cases = " ".join(f"WHEN '{state}' THEN {points}" for state, points in worth.items())
    return f"""SELECT count(*) FILTER (WHERE o.status IN ({any_of(TRADES)})) AS trades,
        coalesce(sum(CASE o.status {cases} END)
            FILTER (WHERE o.status <> 'cancelled' OR o.cancelled_by = o.{column}), 0) AS points
    FROM escrow.orders o WHERE o.{column} = w.wallet AND o.orphaned_at IS NULL"""


LOCK = Query(f"""
    SELECT wallet, abs(reputation_score) >= {MOST} AS is_at_edge FROM escrow.user_profiles
    WHERE wallet = ANY(:wallets::text[]) ORDER BY wallet FOR NO KEY UPDATE
""")
LOCK_NEXT = Query("""
    SELECT wallet FROM escrow.user_profiles WHERE wallet > :after ORDER BY wallet LIMIT :most::bigint FOR NO KEY UPDATE
""")
TRADED = "u.total_trades + v.as_buyer + v.as_seller"
MOVE = Query(f"""
    UPDATE escrow.user_profiles u SET
        total_trades = {TRADED}, total_as_buyer = u.total_as_buyer + v.as_buyer,
        total_as_seller = u.total_as_seller + v.as_seller, reputation_score = {within("u.reputation_score + v.points")},
        tier = {tier(TRADED, "u.rating")}, updated_at = now()
    FROM unnest(:wallets::text[], :as_buyer::int[], :as_seller::int[], :points::numeric[])
        AS v(wallet, as_buyer, as_seller, points)
    WHERE u.wallet = v.wallet
""")
REVIEWED = Query("SELECT DISTINCT target_wallet FROM escrow.reviews WHERE order_id = ANY(:ids::uuid[])")
REBUILD = Query(f"""
    UPDATE escrow.user_profiles u SET
        total_trades = v.trades, total_as_buyer = v.as_buyer, total_as_seller = v.as_seller, rating = v.rating,
        reputation_score = v.score, tier = v.tier, updated_at = now()
    FROM (
        SELECT w.wallet, b.trades + s.trades AS trades, b.trades AS as_buyer, s.trades AS as_seller, r.rating,
            {within(f"b.points + s.points + {FIVE_STARS} * r.five_stars")} AS score,
            {tier("b.trades + s.trades", "r.rating")} AS tier
        FROM unnest(:wallets::text[]) AS w(wallet)
        CROSS JOIN LATERAL ({side("buyer_wallet", AS_BUYER)}) b
        CROSS JOIN LATERAL ({side("seller_wallet", AS_SELLER)}) s
        CROSS JOIN LATERAL (
            SELECT round(avg(r.rating), 2) AS rating, count(*) FILTER (WHERE r.rating = 5) AS five_stars
            FROM escrow.reviews r JOIN escrow.orders o ON o.id = r.order_id
            WHERE r.target_wallet = w.wallet AND {STANDS}
        ) r
    ) v
    WHERE u.wallet = v.wallet
        AND (u.total_trades, u.total_as_buyer, u.total_as_seller, u.rating, u.reputation_score, u.tier)
            IS DISTINCT FROM (v.trades, v.as_buyer, v.as_seller, v.rating, v.score, v.tier)
""")


class Held(msgspec.Struct, frozen=True):
    """A profile that is locked."""

    wallet: str
    is_at_edge: bool
    """The score is the most or the least that its column holds, and may really lie beyond it."""


class Change(msgspec.Struct, frozen=True):
    """By how much a wallet's counts change."""

    wallet: str
    as_buyer: int
    as_seller: int
    points: Decimal


async def lock(db: Write, wallets: Sequence[str]) -> list[Held]:
    """Holds the profiles until the transaction ends. Who counts after this sees what was committed before it."""
    return await db.all(Held, LOCK, wallets=wallets)


async def lock_next(db: Write, after: str, most: int) -> list[str]:
    """Holds the next profiles in the order of their wallets."""
    return [row[0] for row in await db.rows(LOCK_NEXT, after=after, most=most)]


async def move(db: Write, changes: Sequence[Change]) -> None:
    """Adds to what the locked profiles have."""
    columns = {name: [getattr(change, name) for change in changes] for name in ("as_buyer", "as_seller", "points")}
    await db.run(MOVE, wallets=[change.wallet for change in changes], **columns)


async def reviewed(db: Write, orders: Sequence[UUID]) -> set[str]:
    """Who was reviewed for one of these orders."""
    return {row[0] for row in await db.rows(REVIEWED, ids=orders)}


async def rebuild(db: Write, wallets: Sequence[str]) -> int:
    """Counts the locked profiles anew from all their orders and reviews; how many were not as they should be."""
    return await db.run(REBUILD, wallets=wallets)
