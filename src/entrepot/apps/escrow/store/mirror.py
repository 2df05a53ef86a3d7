"""All SQL of the mirror. Every statement takes a whole batch, so that catching up costs a few of them per page."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.escrow.events import OrderCreated
from entrepot.apps.escrow.model import OrderStatus, ProductStatus
from entrepot.kernel.chain.indexer import Position
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query

POSITION = Query("""
    SELECT last_block AS block, last_hash AS hash, last_block_at AS at
    FROM escrow.event_sync_cursor WHERE chain = :chain AND contract = :contract
""")
BEGIN = Query("""
    INSERT INTO escrow.event_sync_cursor (chain, contract, last_block, last_hash, last_block_at)
    VALUES (:chain, :contract, :block, :hash, :at) ON CONFLICT (chain, contract) DO NOTHING
""")
MOVE = Query("""
    UPDATE escrow.event_sync_cursor
    SET last_block = :block, last_hash = :hash, last_block_at = :at, updated_at = now()
    WHERE chain = :chain AND contract = :contract AND last_block = :was_block AND last_hash = :was_hash
""")
KNOWN_BLOCKS = Query("""
    SELECT DISTINCT block_number, block_hash FROM escrow.contract_events
    WHERE chain = :chain AND contract = :contract AND block_number <= :upto
    ORDER BY block_number DESC LIMIT :most
""")
ADD_EVENTS = Query("""
    INSERT INTO escrow.contract_events
        (chain, contract, block_number, log_index, block_hash, block_at, tx_hash, name, onchain_order_id, fields)
    SELECT :chain::escrow.chain_type, :contract, * FROM unnest(
        :block_number::bigint[], :log_index::int[], :block_hash::text[], :block_at::timestamptz[], :tx_hash::text[],
        :name::text[], :onchain_order_id::bigint[], :fields::jsonb[])
""")
REMOVE_EVENTS = Query("SELECT escrow.remove_events_above(:chain, :contract, :above) AS onchain_order_id")
EVENTS = Query("""
    SELECT block_number, block_at, tx_hash, name, onchain_order_id, fields FROM escrow.contract_events
    WHERE chain = :chain AND contract = :contract AND onchain_order_id = ANY(:ids::bigint[])
    ORDER BY block_number, log_index
""")
ORDERS = Query("""
    SELECT id, buyer_wallet, seller_wallet, product_id, took_stock, onchain_order_id, status, seller_deadline,
        tx_hash_create, created_at, updated_at, block_number, release_deadline, delivery_hash, seller_confirmed_at,
        cancelled_by, arbitrator_wallet, dispute_opened_at, dispute_deadline, completed_at, tx_hash_complete
    FROM escrow.orders
    WHERE chain = :chain AND (onchain_order_id = ANY(:numbers::bigint[]) OR id = ANY(:ids::uuid[]))
    FOR UPDATE
""")
RESERVATIONS = Query("""
    SELECT r.id, r.product_id, r.buyer_wallet, p.seller_wallet, r.token, r.amount
    FROM escrow.reservations r JOIN escrow.products p ON p.id = r.product_id
    WHERE r.id = ANY(:ids::uuid[]) AND r.chain = :chain
""")
USE_RESERVATIONS = Query("""
    UPDATE escrow.reservations SET used_at = now() WHERE id = ANY(:ids::uuid[]) AND used_at IS NULL
""")
ADD_PROFILES = Query("""
    INSERT INTO escrow.user_profiles (wallet, public_key, is_blacklisted)
    SELECT w, '', EXISTS (SELECT FROM escrow.blacklist b WHERE b.wallet = w) FROM unnest(:wallets::text[]) AS w
    ON CONFLICT (wallet) DO NOTHING
""")
PRODUCT_BY_HASH = Query("""
    SELECT id FROM escrow.products WHERE seller_wallet = :seller AND product_hash = :product_hash
    ORDER BY created_at DESC, id DESC LIMIT 1
""")
ADD_UNLISTED = Query("""
    INSERT INTO escrow.products (id, seller_wallet, title_preview, description_preview, category, price_usdt, stock,
        product_hash, status, deleted_at)
    VALUES (:id, :seller, 'Not listed here', 'Sold on the contract directly; this market never listed it.', 'other',
        :price, 0, :product_hash, 'deleted', now())
""")
# No stronger lock than that: two mirrors that have both made orders of a listing hold its key, each against the other.
PRODUCTS = Query("""
    SELECT id, stock, total_sold, status FROM escrow.products WHERE id = ANY(:ids::uuid[]) ORDER BY id
    FOR NO KEY UPDATE
""")
SET_PRODUCTS = Query("""
    UPDATE escrow.products p
    SET stock = v.stock, total_sold = v.total_sold, status = v.status, updated_at = now()
    FROM unnest(:ids::uuid[], :stocks::int[], :sold::int[], :statuses::escrow.product_status[])
        AS v(id, stock, total_sold, status)
    WHERE p.id = v.id
""")
ADD_ORDERS = Query("""
    INSERT INTO escrow.orders (id, onchain_order_id, chain, buyer_wallet, seller_wallet, product_id, token, amount,
        platform_fee, tx_hash_create, created_at, updated_at, seller_deadline, block_number, is_direct)
    SELECT v.id, v.onchain_order_id, :chain::escrow.chain_type, v.buyer, v.seller, v.product_id, v.token, v.amount,
        v.fee, v.tx_hash, v.at, v.at, v.deadline, v.block_number, v.is_direct
    FROM unnest(:ids::uuid[], :numbers::bigint[], :buyers::text[], :sellers::text[], :products::uuid[],
        :tokens::escrow.token_type[], :amounts::numeric[], :fees::numeric[], :tx_hashes::text[], :ats::timestamptz[],
        :deadlines::timestamptz[], :blocks::bigint[], :directs::bool[])
        AS v(id, onchain_order_id, buyer, seller, product_id, token, amount, fee, tx_hash, at, deadline, block_number,
            is_direct)
    ON CONFLICT (id) DO UPDATE SET
        onchain_order_id = excluded.onchain_order_id, platform_fee = excluded.platform_fee, status = 'created',
        orphaned_at = NULL
""")
SET_ORDERS = Query("""
    UPDATE escrow.orders o SET
        status = v.status, took_stock = v.took_stock, seller_deadline = v.seller_deadline,
        tx_hash_create = v.tx_hash_create, created_at = v.created_at, updated_at = v.updated_at,
        block_number = v.block_number, release_deadline = v.release_deadline, delivery_hash = v.delivery_hash,
        seller_confirmed_at = v.seller_confirmed_at, cancelled_by = v.cancelled_by,
        arbitrator_wallet = v.arbitrator_wallet, dispute_opened_at = v.dispute_opened_at,
        dispute_deadline = v.dispute_deadline, completed_at = v.completed_at, tx_hash_complete = v.tx_hash_complete
    FROM unnest(:id::uuid[], :status::escrow.order_status[], :took_stock::bool[], :seller_deadline::timestamptz[],
        :tx_hash_create::text[], :created_at::timestamptz[], :updated_at::timestamptz[], :block_number::bigint[],
        :release_deadline::timestamptz[], :delivery_hash::text[], :seller_confirmed_at::timestamptz[],
        :cancelled_by::text[], :arbitrator_wallet::text[], :dispute_opened_at::timestamptz[],
        :dispute_deadline::timestamptz[], :completed_at::timestamptz[], :tx_hash_complete::text[])
        AS v(id, status, took_stock, seller_deadline, tx_hash_create, created_at, updated_at, block_number,
            release_deadline, delivery_hash, seller_confirmed_at, cancelled_by, arbitrator_wallet, dispute_opened_at,
            dispute_deadline, completed_at, tx_hash_complete)
    WHERE o.id = v.id
""")
ORPHAN = Query("""
    UPDATE escrow.orders SET onchain_order_id = nextval('escrow.orphan_numbers'), orphaned_at = now(),
        took_stock = false
    WHERE id = ANY(:ids::uuid[])
""")


class KeptOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `orders`, as far as the mirror reads it."""

    id: UUID
    buyer_wallet: str
    seller_wallet: str
    product_id: UUID
    took_stock: bool
    onchain_order_id: int
    status: OrderStatus
    seller_deadline: datetime
    tx_hash_create: str
    created_at: datetime
    updated_at: datetime
    block_number: int
    release_deadline: datetime | None
    delivery_hash: str | None
    seller_confirmed_at: datetime | None
    cancelled_by: str | None
    arbitrator_wallet: str | None
    dispute_opened_at: datetime | None
    dispute_deadline: datetime | None
    completed_at: datetime | None
    tx_hash_complete: str | None


class Reserved(msgspec.Struct, frozen=True):
    """What a reservation promised."""

    id: UUID
    product_id: UUID
    buyer_wallet: str
    seller_wallet: str
    token: str
    amount: Decimal

    def fits(self, event: OrderCreated, token: str, amount: Decimal) -> bool:
        """Whether the order is the one that was promised."""
        promised = (self.buyer_wallet, self.seller_wallet, self.token, self.amount)
        return promised == (event.buyer, event.seller, token, amount)


class Shelf(msgspec.Struct):
    """How much of a product there is."""

    id: UUID
    stock: int
    total_sold: int
    status: ProductStatus


def columns(rows: Iterable[msgspec.Struct], names: Sequence[str]) -> dict[str, list[Any]]:
    """The rows turned into one array a column, for unnest."""
    kept = list(rows)
    return {name: [getattr(row, name) for row in kept] for name in names}


async def position(db: Read, chain: str, contract: str) -> Position | None:
    """How far the contract is mirrored."""
    return await db.maybe(Position, POSITION, chain=chain, contract=contract)


async def begin(db: Write, chain: str, contract: str, now: Position) -> bool:
    """Makes the cursor; False when it is there already."""
    made = await db.run(BEGIN, chain=chain, contract=contract, block=now.block, hash=now.hash, at=now.at)
    return made == 1


async def move(db: Write, chain: str, contract: str, was: Position, now: Position) -> bool:
    """Compare-and-set of the cursor; False when another indexer moved it."""
    moved = await db.run(
        MOVE,
        chain=chain,
        contract=contract,
        was_block=was.block,
        was_hash=was.hash,
        block=now.block,
        hash=now.hash,
        at=now.at,
    )
    return moved == 1


async def known_blocks(db: Read, chain: str, contract: str, upto: int, most: int) -> list[tuple[int, str]]:
    """Blocks that events are held of, newest first."""
    rows = await db.rows(KNOWN_BLOCKS, chain=chain, contract=contract, upto=upto, most=most)
    return [(row[0], row[1]) for row in rows]
