"""SQL of conflicts: what keeps a member of the pool from ruling on an order, by all that is mirrored of any chain."""

from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet


class Reason(StrEnum):
    """Why somebody should not rule on an order."""

    PARTY = "party"
    """Is the buyer or the seller."""
    TRADE = "trade"
    """Has had an order with either within 30 days."""
    RULING = "ruling"
    """Was the arbitrator of another dispute of either's, which ended within 7 days."""
    INACTIVE = "inactive"
    """Cannot be drawn. Says nothing against a ruling by one who was drawn before: the contract takes it."""


PARTIES = "(o.buyer_wallet, o.seller_wallet)"


def traded(side: str, other: str, at: str) -> str:
    """Whether wallet `a` was on one side of an order with a party on the other, by that side's index."""
    return f"""EXISTS (SELECT FROM escrow.orders t
        WHERE t.{side} = a.wallet AND t.{other} IN {PARTIES} AND t.id <> o.id AND t.orphaned_at IS NULL
            AND t.created_at > {at} - interval '30 days' AND t.created_at <= {at})"""


def with_parties(at: str) -> str:
    """Each conflict of wallet `a` with a party of order `o` at that moment, as a row; none where there is none."""
    return f"""SELECT '{Reason.PARTY}' AS reason WHERE a.wallet IN {PARTIES}
    UNION ALL SELECT '{Reason.TRADE}' WHERE {traded("buyer_wallet", "seller_wallet", at)}
        OR {traded("seller_wallet", "buyer_wallet", at)}
    UNION ALL SELECT '{Reason.RULING}' WHERE EXISTS (SELECT FROM escrow.orders r
        WHERE r.arbitrator_wallet = a.wallet AND (r.buyer_wallet IN {PARTIES} OR r.seller_wallet IN {PARTIES})
            AND r.status IN ('resolved_buyer', 'resolved_seller') AND r.id <> o.id AND r.orphaned_at IS NULL
            AND r.updated_at > {at} - interval '7 days' AND r.updated_at <= {at})"""


# A chain's clock may be ahead of ours, and orders have their chain's.
NOW = "(SELECT greatest(now(), max(c.last_block_at)) FROM escrow.event_sync_cursor c)"
IS_ACTIVE = """EXISTS (SELECT FROM escrow.pool_members m
        WHERE m.chain = o.chain AND m.wallet = a.wallet AND m.is_active)"""
OF = Query(f"""
    SELECT found.reason FROM (SELECT :arbitrator::text AS wallet) a
    CROSS JOIN (SELECT o.*, {NOW} AS moment FROM escrow.orders o WHERE o.id = :order) o
    CROSS JOIN LATERAL (
        {with_parties("o.moment")}
        UNION ALL SELECT '{Reason.INACTIVE}' WHERE NOT {IS_ACTIVE}
    ) found
""")
# Who was active then is the pool's to say, and the contract took the ruling: only conflicts with the parties count.
MARK = Query(f"""
    UPDATE escrow.orders ruled SET ruled_in_conflict = EXISTS (
        SELECT FROM escrow.orders o
        CROSS JOIN LATERAL (SELECT o.arbitrator_wallet AS wallet) a
        CROSS JOIN LATERAL ({with_parties("o.updated_at")}) found
        WHERE o.id = ruled.id)
    WHERE ruled.chain = :chain AND ruled.onchain_order_id = ANY(:numbers::bigint[])
""")


async def of(db: Read, arbitrator: Wallet, order: UUID) -> list[Reason]:
    """Every reason why this wallet should not be drawn for the order; none where it may."""
    return [Reason(row[0]) for row in await db.rows(OF, arbitrator=arbitrator, order=order)]


async def mark(db: Write, chain: str, numbers: Sequence[int]) -> None:
    """Notes of orders that an arbitrator has ruled on whether it was in conflict, by what is mirrored at this moment.

    Another chain's mirror that lags behind may not have brought a trade yet.
    """
    await db.run(MARK, chain=chain, numbers=numbers)
