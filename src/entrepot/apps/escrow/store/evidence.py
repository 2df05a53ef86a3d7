"""SQL of evidence: what was handed in here, and what the contract has put on record."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from entrepot.apps.escrow.model import EvidenceType
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.store.cid import Cid
from entrepot.kernel.wallet import Wallet

ADD = Query("""
    INSERT INTO escrow.evidence_uploads (order_id, submitter_wallet, ipfs_hash, evidence_type, arbitrator_wallet, size)
    VALUES (:order, :by, :cid, :kind, :arbitrator, :size)
    ON CONFLICT (order_id, submitter_wallet, ipfs_hash) DO NOTHING
""")
HOLD = Query("SELECT pg_advisory_xact_lock(hashtextextended('escrow.evidence ' || :order::uuid || :by::text, 0))")
COUNT = Query("""
    SELECT count(*) FROM escrow.evidence_uploads
    WHERE order_id = :order AND submitter_wallet = :by AND ipfs_hash <> :cid AND arbitrator_wallet = :arbitrator
""")
# What nobody has put on record yet is its submitter's only.
IS_READABLE = Query("""
    SELECT EXISTS (
        SELECT FROM escrow.evidence_uploads u
        WHERE u.order_id = :order AND u.ipfs_hash = :cid AND (u.submitter_wallet = :by OR EXISTS (
            SELECT FROM escrow.dispute_evidence e WHERE e.order_id = u.order_id AND e.ipfs_hash = u.ipfs_hash))
    )
""")
# The same document again says nothing new: the first time counts.
RECORD = Query("""
    INSERT INTO escrow.dispute_evidence
        (id, order_id, submitter_wallet, ipfs_hash, evidence_type, created_at, block_number)
    SELECT v.id, o.id, v.by, v.cid, coalesce(u.evidence_type, 'other'), v.at, v.block_number
    FROM unnest(:ids::uuid[], :numbers::bigint[], :wallets::text[], :cids::text[], :ats::timestamptz[],
        :blocks::bigint[]) WITH ORDINALITY AS v(id, number, by, cid, at, block_number, place)
    JOIN escrow.orders o ON o.chain = :chain AND o.onchain_order_id = v.number
    LEFT JOIN escrow.evidence_uploads u ON u.order_id = o.id AND u.submitter_wallet = v.by AND u.ipfs_hash = v.cid
    ORDER BY v.place
    ON CONFLICT (order_id, submitter_wallet, ipfs_hash) DO NOTHING
""")
STRIKE = Query("""
    DELETE FROM escrow.dispute_evidence e USING escrow.orders o
    WHERE o.id = e.order_id AND o.chain = :chain AND o.onchain_order_id = ANY(:numbers::bigint[])
        AND e.block_number > :above
""")


async def hold(db: Write, order: UUID, by: Wallet) -> None:
    """Whoever counts what this party has handed in waits here for whoever counted before."""
    await db.value(HOLD, order=order, by=by)


async def count_others(db: Read, order: UUID, by: Wallet, cid: Cid, arbitrator: Wallet) -> int:
    """How many pieces beside this one the party has handed in for this order and this arbitrator."""
    return int(await db.value(COUNT, order=order, by=by, cid=cid, arbitrator=arbitrator))


async def add(db: Write, order: UUID, by: Wallet, cid: Cid, kind: EvidenceType, arbitrator: Wallet, size: int) -> None:
    """Notes what was handed in, once."""
    await db.run(ADD, order=order, by=by, cid=cid, kind=kind, arbitrator=arbitrator, size=size)


async def is_readable(db: Read, order: UUID, cid: Cid, by: Wallet) -> bool:
    """Whether this document was handed in for this order, by the caller or with the contract's knowledge."""
    return bool(await db.value(IS_READABLE, order=order, cid=cid, by=by))


async def record(db: Write, chain: str, **columns: Sequence[Any]) -> None:
    """Rows for what the contract put on record, in its order."""
    await db.run(RECORD, chain=chain, **columns)


async def strike(db: Write, chain: str, numbers: Sequence[int], above: int) -> None:
    """Takes from the record what stood above a fork; orders are named by the contract's numbers."""
    await db.run(STRIKE, chain=chain, numbers=numbers, above=above)
