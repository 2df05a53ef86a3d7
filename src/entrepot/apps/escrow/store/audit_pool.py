"""SQL of the audit of arbitrators. Each statement answers with the pool's cursor too, so that it is of one block."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from entrepot.apps.escrow.store.arbitrators import summary
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.db.doors import Read, noun
from entrepot.kernel.db.query import Query

CURSOR = """SELECT last_block, last_hash FROM escrow.event_sync_cursor
        WHERE chain = :chain AND contract = :contract"""
SIZE = Query(f"""
    SELECT c.last_block AS block, c.last_hash AS hash,
        (SELECT count(*) FROM escrow.pool_members m WHERE m.chain = :chain AND m.stake_amount > 0) AS members
    FROM ({CURSOR}) c
""")
SUMMED = "wallet, stake_amount, stake_token, reputation, total_resolved, total_earned, is_active, registered_at"
MEMBERS = Query(f"""
    SELECT c.last_block AS block, c.last_hash AS hash, m.wallet, m.stake_amount, m.reputation, m.is_active, m.assigned,
        m.total_resolved, (
            SELECT row({SUMMED}) FROM escrow.arbitrators a WHERE a.wallet = m.wallet
        ) IS NOT DISTINCT FROM (
            SELECT row({SUMMED}) FROM ({summary("m2", "m2.wallet = m.wallet")}) s
        ) AS is_summed
    FROM ({CURSOR}) c LEFT JOIN (
        SELECT * FROM escrow.pool_members WHERE chain = :chain AND wallet > :after ORDER BY wallet LIMIT :most::bigint
    ) m ON true
    ORDER BY m.wallet
""")


class Size(msgspec.Struct, frozen=True):
    """How many the mirror has in the pool."""

    block: int
    hash: str
    members: int


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is or was in the pool."""

    wallet: str
    stake_amount: Decimal
    reputation: int
    is_active: bool
    assigned: int
    total_resolved: int
    is_summed: bool
    """Whether its row in `arbitrators` is what the pools and its rulings make it."""


class MemberPage(msgspec.Struct, frozen=True):
    """Members by wallet, as they were when the mirror had reached that block."""

    block: int
    hash: str
    rows: Sequence[MemberRow]


async def size(db: Read, contract: Deployed) -> Size | None:
    """None where nothing has been mirrored yet."""
    return await db.maybe(Size, SIZE, chain=contract.chain, contract=contract.address)


async def members(db: Read, contract: Deployed, after: str, most: int) -> MemberPage | None:
    """The next members; None where nothing has been mirrored yet."""
    found = await db.rows(MEMBERS, chain=contract.chain, contract=contract.address, after=after, most=most)
    if not found:
        return None
    rows = [noun(MemberRow, each) for each in found if each["wallet"] is not None]
    return MemberPage(found[0]["block"], found[0]["hash"], rows)
