"""SQL of live streams: who may follow a trade, and who is told of it."""

from collections.abc import Collection
from uuid import UUID

from entrepot.apps.escrow.store.orders import VISIBLE
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

IS_VISIBLE = Query(f"SELECT EXISTS (SELECT FROM escrow.orders o WHERE o.id = :id AND {VISIBLE})")
READERS = Query("""
    SELECT buyer_wallet, seller_wallet,
        CASE WHEN status IN ('disputed', 'resolved_buyer', 'resolved_seller') THEN arbitrator_wallet END
    FROM escrow.orders WHERE id = :id
""")


async def is_visible(db: Read, order: UUID, by: Wallet) -> bool:
    """Whether this wallet may see the order."""
    return bool(await db.value(IS_VISIBLE, id=order, by=by))


async def readers(db: Read, order: UUID) -> Collection[str]:
    """Everybody who may see the order: both parties, and the arbitrator while it is one."""
    rows = await db.rows(READERS, id=order)
    return [wallet for row in rows for wallet in row if wallet is not None]
