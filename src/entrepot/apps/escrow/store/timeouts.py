"""The scan for orders whose time has run out, by the two partial indexes; the chain's own time decides."""

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
CHAIN_TIMES = Query("SELECT chain, contract, last_block_at FROM escrow.event_sync_cursor ORDER BY chain, contract")


class ChainTime(msgspec.Struct, frozen=True):
    """What time it is on a chain, as far as it is mirrored."""

    chain: str
    contract: str
    last_block_at: datetime


async def chain_times(db: Read) -> list[ChainTime]:
    """The time of every chain that is mirrored."""
    return await db.all(ChainTime, CHAIN_TIMES)


async def due_expiries(db: Read, chain: str, chain_time: datetime, most: int) -> list[int]:
    """The contract's numbers of orders that no seller confirmed in time, oldest first."""
    rows = await db.rows(DUE_EXPIRIES, chain=chain, chain_time=chain_time, most=most)
    return [row[0] for row in rows]


async def due_releases(db: Read, chain: str, chain_time: datetime, most: int) -> list[int]:
    """The contract's numbers of orders that no buyer acted on in time, oldest first."""
    rows = await db.rows(DUE_RELEASES, chain=chain, chain_time=chain_time, most=most)
    return [row[0] for row in rows]
