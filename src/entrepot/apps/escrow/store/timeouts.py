"""The scan for orders whose time has run out; the contract's deadlines and the chain's own time decide."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query

# The literals are the predicates of the partial indexes, and the contract's timeouts bound the scan; the deadline that
# counts is the order's own.
DUE_EXPIRIES = Query("""
    SELECT onchain_order_id FROM escrow.orders
    WHERE status = 'created' AND created_at <= :chain_time::timestamptz - interval '24 hours'
        AND seller_deadline <= :chain_time::timestamptz AND chain = :chain AND orphaned_at IS NULL
    ORDER BY created_at LIMIT :most
""")
DUE_RELEASES = Query("""
    SELECT onchain_order_id FROM escrow.orders
    WHERE status = 'seller_confirmed' AND seller_confirmed_at <= :chain_time::timestamptz - interval '72 hours'
        AND release_deadline <= :chain_time::timestamptz AND chain = :chain AND orphaned_at IS NULL
    ORDER BY seller_confirmed_at LIMIT :most
""")
# Once a draw has no one left to find, it only sets another block, and could be paid for until the default ruling.
SOMEBODY = """EXISTS (SELECT FROM escrow.pool_members m
        WHERE m.chain = o.chain AND m.is_active AND m.wallet NOT IN (o.buyer_wallet, o.seller_wallet)
            AND NOT EXISTS (SELECT FROM escrow.contract_events e
                WHERE e.chain = o.chain AND e.contract = :contract AND e.onchain_order_id = o.onchain_order_id
                    AND e.name = 'DrawPostponed' AND e.fields ->> 'missed' = m.wallet))"""
DISPUTED = """SELECT o.onchain_order_id FROM escrow.orders o
    WHERE o.chain = :chain AND o.status = 'disputed' AND o.orphaned_at IS NULL"""
DUE_DRAWS = Query(f"""
    {DISPUTED} AND o.arbitrator_wallet IS NULL AND o.draw_block < :block AND o.default_deadline > :chain_time
        AND {SOMEBODY}
    ORDER BY o.default_deadline LIMIT :most
""")
DUE_REPLACEMENTS = Query(f"""
    {DISPUTED} AND o.arbitrator_wallet IS NOT NULL AND o.dispute_deadline <= :chain_time
        AND o.default_deadline > :chain_time
    ORDER BY o.default_deadline LIMIT :most
""")
DUE_DEFAULTS = Query(f"""
    {DISPUTED} AND o.default_deadline <= :chain_time ORDER BY o.default_deadline LIMIT :most
""")
CHAIN_TIMES = Query("""
    SELECT chain, contract, last_block, last_block_at FROM escrow.event_sync_cursor
    WHERE contract = ANY(:contracts::text[]) ORDER BY chain
""")


class ChainTime(msgspec.Struct, frozen=True):
    """What time it is on a chain, as far as it is mirrored."""

    chain: str
    contract: str
    last_block: int
    last_block_at: datetime


async def chain_times(db: Read, contracts: Sequence[str]) -> list[ChainTime]:
    """The time of every chain that one of these contracts is mirrored of."""
    return await db.all(ChainTime, CHAIN_TIMES, contracts=contracts)


async def due_expiries(db: Read, chain: str, chain_time: datetime, most: int) -> list[int]:
    """The contract's numbers of orders that no seller confirmed in time, oldest first."""
    rows = await db.rows(DUE_EXPIRIES, chain=chain, chain_time=chain_time, most=most)
    return [row[0] for row in rows]


async def due_releases(db: Read, chain: str, chain_time: datetime, most: int) -> list[int]:
    """The contract's numbers of orders that no buyer acted on in time, oldest first."""
    rows = await db.rows(DUE_RELEASES, chain=chain, chain_time=chain_time, most=most)
    return [row[0] for row in rows]


async def due_draws(db: Read, time: ChainTime, most: int) -> list[int]:
    """Disputes for which an arbitrator can be drawn, and there is one to be found."""
    given = {"chain": time.chain, "contract": time.contract, "block": time.last_block, "chain_time": time.last_block_at}
    return [row[0] for row in await db.rows(DUE_DRAWS, **given, most=most)]


async def due_replacements(db: Read, time: ChainTime, most: int) -> list[int]:
    """Disputes whose arbitrator has missed its deadline while there is time for another."""
    rows = await db.rows(DUE_REPLACEMENTS, chain=time.chain, chain_time=time.last_block_at, most=most)
    return [row[0] for row in rows]


async def due_defaults(db: Read, time: ChainTime, most: int) -> list[int]:
    """Disputes that nobody has ruled on in time, and nobody may any more."""
    rows = await db.rows(DUE_DEFAULTS, chain=time.chain, chain_time=time.last_block_at, most=most)
    return [row[0] for row in rows]
