"""SQL of orders, as their parties see them. Rows are made and moved by the mirror; only a delivery is kept here."""

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.orders import ListOrders, Role
from entrepot.apps.escrow.model import ChainName, OrderStatus
from entrepot.kernel.db.answers import bounded, moment, page
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import paging
from entrepot.kernel.wallet import Wallet

CARD = f"""o.id, o.onchain_order_id, o.chain, o.buyer_wallet, o.seller_wallet, o.arbitrator_wallet, o.product_id,
    p.title_preview AS product_title, o.token, o.amount::text AS amount, o.platform_fee::text AS platform_fee, o.status,
    o.tx_hash_create, o.tx_hash_complete, {moment("o.seller_confirmed_at")} AS seller_confirmed_at,
    {moment("o.dispute_opened_at")} AS dispute_opened_at, {moment("o.dispute_deadline")} AS dispute_deadline,
    {moment("o.completed_at")} AS completed_at, {moment("o.created_at")} AS created_at,
    {moment("o.updated_at")} AS updated_at, {moment("o.seller_deadline")} AS seller_deadline,
    {moment("o.release_deadline")} AS release_deadline, o.delivery_hash, o.cancelled_by, o.is_direct,
    greatest(0, 1 - o.block_number + coalesce(
        (SELECT max(c.last_block) FROM escrow.event_sync_cursor c WHERE c.chain = o.chain), 0)) AS confirmations,
    nullif(b.public_key, '') AS buyer_public_key"""
BESIDE = """JOIN escrow.products p ON p.id = o.product_id
    JOIN escrow.user_profiles b ON b.wallet = o.buyer_wallet"""
PARTY = "(o.buyer_wallet = :by OR o.seller_wallet = :by)"
VISIBLE = f"""o.orphaned_at IS NULL AND ({PARTY} OR (o.arbitrator_wallet = :by
    AND o.status IN ('disputed', 'resolved_buyer', 'resolved_seller')))"""
# Until the contract has the confirmation either party may cancel: a buyer who had the key by then could keep it.
DELIVERED = """CASE WHEN o.seller_wallet = :by OR o.status NOT IN ('created', 'cancelled', 'expired')
    THEN o.product_key_encrypted END AS product_key_encrypted"""

DETAIL = Query(f"""
    SELECT row_to_json(found) FROM (
        SELECT {CARD}, {DELIVERED} FROM escrow.orders o {BESIDE} WHERE o.id = :id AND {VISIBLE}
    ) found
""")
SIDES = {
    Role.BUYER: ("buyer_wallet",),
    Role.SELLER: ("seller_wallet",),
    Role.ANY: ("buyer_wallet", "seller_wallet"),
}
NEWEST = "ORDER BY o.created_at DESC, o.id DESC"
DEAL = f"""
    SELECT o.id, o.onchain_order_id, o.chain, o.buyer_wallet, o.seller_wallet, o.status,
        b.public_key AS buyer_public_key, o.seller_deadline, greatest(now(),
            (SELECT max(c.last_block_at) FROM escrow.event_sync_cursor c WHERE c.chain = o.chain)) AS now
    FROM escrow.orders o JOIN escrow.user_profiles b ON b.wallet = o.buyer_wallet
    WHERE o.id = :id AND o.orphaned_at IS NULL AND {PARTY}
"""
FIND_DEAL = Query(DEAL)
LOCK_DEAL = Query(f"{DEAL} FOR NO KEY UPDATE OF o")
KEEP_DELIVERY = Query("""
    UPDATE escrow.orders SET product_key_encrypted = :sealed WHERE id = :id AND status = 'created'
""")


class Deal(msgspec.Struct, frozen=True):
    """An order, as far as an act of one of its parties looks at it."""

    id: UUID
    onchain_order_id: int
    chain: ChainName
    buyer_wallet: Wallet
    seller_wallet: Wallet
    status: OrderStatus
    buyer_public_key: str
    """Empty while the buyer has never signed in here."""
    seller_deadline: datetime
    now: datetime
    """The chain's time, as well as it is known here."""


@cache
def listing(role: Role, *, of_status: bool, later: bool) -> Query:
    """The statement for a page of one's orders. Each side is read by its own index, as an OR would be by none."""
    conditions = "o.orphaned_at IS NULL"
    conditions += " AND o.status = :status" if of_status else ""
    conditions += " AND (o.created_at, o.id) < (:key, :last)" if later else ""
    sides = " UNION ALL ".join(
        f"({bounded(f'SELECT o.* FROM escrow.orders o WHERE o.{side} = :by AND {conditions} {NEWEST}')})"
        for side in SIDES[role]
    )
    # What stands beside an order is looked up for those of the page only.
    mine = bounded(f"SELECT o.* FROM ({sides}) o {NEWEST}")
    return Query(page(f"SELECT {CARD} FROM ({mine}) o {BESIDE} {NEWEST}", "newest", "created_at"))


async def orders(db: Read, ask: ListOrders) -> Json:
    """A page of one's orders, newest first."""
    given: dict[str, Any] = {"by": ask.by, "limit": ask.limit}
    if ask.status is not None:
        given["status"] = ask.status
    if ask.cursor is not None:
        given["key"], given["last"] = ask.cursor.place("newest", paging.moment)
    query = listing(ask.role, of_status=ask.status is not None, later=ask.cursor is not None)
    found = await db.json(query, **given)
    assert found is not None, "an aggregate answers with a row"
    return found


async def order(db: Read, order_id: UUID, by: Wallet) -> Json | None:
    """One order, as this party (or its arbitrator) may see it."""
    return await db.json(DETAIL, id=order_id, by=by)


async def deal(db: Read, order_id: UUID, by: Wallet) -> Deal | None:
    """One order of this party's."""
    return await db.maybe(Deal, FIND_DEAL, id=order_id, by=by)


async def lock_deal(db: Write, order_id: UUID, by: Wallet) -> Deal | None:
    """One order of this party's, which the mirror cannot move before the transaction ends."""
    return await db.maybe(Deal, LOCK_DEAL, id=order_id, by=by)


async def keep_delivery(db: Write, order_id: UUID, sealed: str) -> None:
    """Keeps the sealed key, in place of an earlier one; `updated_at` is the chain's and stays."""
    await db.run(KEEP_DELIVERY, id=order_id, sealed=sealed)
