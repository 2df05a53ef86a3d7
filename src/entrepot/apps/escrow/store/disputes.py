"""SQL of disputes: an order as the acts of its parties and its arbitrator look at it, and what all three may see."""

from datetime import datetime
from uuid import UUID

import msgspec

from entrepot.apps.escrow.model import ChainName, OrderStatus, Token
from entrepot.apps.escrow.store.orders import VISIBLE
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.money import Amount
from entrepot.kernel.wallet import Wallet

# A block that comes now has at least the time of the last one, and about that of our clock.
CASE = Query(f"""
    SELECT o.id, o.onchain_order_id, o.chain, o.token, o.buyer_wallet, o.seller_wallet, o.arbitrator_wallet, o.status,
        o.amount, o.platform_fee, o.seller_deadline, o.release_deadline, o.dispute_deadline, o.default_deadline,
        o.draw_block, greatest(c.last_block_at, now()) AS now, coalesce(c.last_block, 0) AS last_block
    FROM escrow.orders o
    LEFT JOIN LATERAL (
        SELECT max(last_block) AS last_block, max(last_block_at) AS last_block_at
        FROM escrow.event_sync_cursor WHERE chain = o.chain
    ) c ON true
    WHERE o.id = :id AND {VISIBLE}
""")
EVIDENCE = f"""
    SELECT e.ipfs_hash, e.submitter_wallet, e.evidence_type, u.arbitrator_wallet,
        {moment("e.created_at")} AS created_at
    FROM escrow.dispute_evidence e LEFT JOIN escrow.evidence_uploads u USING (order_id, submitter_wallet, ipfs_hash)
    WHERE e.order_id = o.id ORDER BY e.created_at, e.id
"""
DISPUTE = Query(f"""
    SELECT row_to_json(found) FROM (
        SELECT o.id AS order_id, o.status, o.buyer_wallet, o.seller_wallet, o.arbitrator_wallet,
            {moment("o.dispute_opened_at")} AS dispute_opened_at, o.draw_block,
            CASE WHEN o.arbitrator_wallet IS NOT NULL THEN {moment("o.dispute_deadline")} END AS ruling_deadline,
            {moment("o.default_deadline")} AS default_deadline,
            coalesce((SELECT json_agg(piece) FROM ({EVIDENCE}) piece), '[]'::json) AS evidence
        FROM escrow.orders o WHERE o.id = :id AND o.dispute_opened_at IS NOT NULL AND {VISIBLE}
    ) found
""")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """An order with all that decides what can be done with it. Deadlines are the contract's."""

    id: UUID
    onchain_order_id: int
    chain: ChainName
    token: Token
    buyer_wallet: Wallet
    seller_wallet: Wallet
    arbitrator_wallet: Wallet | None
    status: OrderStatus
    amount: Amount
    platform_fee: Amount
    seller_deadline: datetime
    release_deadline: datetime | None
    dispute_deadline: datetime | None
    default_deadline: datetime | None
    draw_block: int | None
    now: datetime
    """The chain's time, as well as it is known here."""
    last_block: int
    """How far the chain is mirrored."""

    @property
    def parties(self) -> tuple[Wallet, Wallet]:
        """Buyer and seller."""
        return self.buyer_wallet, self.seller_wallet


async def case(db: Read, order: UUID, by: Wallet) -> Case | None:
    """The order, or None where the caller may not see it."""
    return await db.maybe(Case, CASE, id=order, by=by)


async def dispute(db: Read, order: UUID, by: Wallet) -> Json | None:
    """The dispute, or None where there is none that the caller may see."""
    return await db.json(DISPUTE, id=order, by=by)
