"""All SQL of the mirror. Every statement takes a whole batch, so that catching up costs a few of them per page."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record

from entrepot.apps.escrow import events
from entrepot.apps.escrow.events import OrderCreated
from entrepot.apps.escrow.model import OrderStatus, ProductStatus
from entrepot.kernel.chain.indexer import Position, Seen
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
        (chain, contract, block_number, log_index, block_hash, block_at, tx_hash, name, onchain_order_id,
        arbitrator_wallet, fields)
    SELECT :chain::escrow.chain_type, :contract, * FROM unnest(
        :block_number::bigint[], :log_index::int[], :block_hash::text[], :block_at::timestamptz[], :tx_hash::text[],
        :name::text[], :onchain_order_id::bigint[], :arbitrator_wallet::text[], :fields::jsonb[])
""")
REMOVE_EVENTS = Query("SELECT order_id, arbitrator FROM escrow.remove_events_above(:chain, :contract, :above)")
EVENTS = Query("""
    SELECT block_number, block_at, tx_hash, name, onchain_order_id, fields FROM escrow.contract_events
    WHERE chain = :chain AND contract = :contract
        AND (onchain_order_id = ANY(:orders::bigint[]) OR arbitrator_wallet = ANY(:arbitrators::text[]))
    ORDER BY block_number, log_index
""")
# No stronger lock than that: who writes a message or hands in evidence holds the order's key until it is kept, and must
# not hold up the mirror. Only what takes an order's number away (ORPHAN) waits for them.
ORDERS = Query("""
    SELECT id, buyer_wallet, seller_wallet, product_id, onchain_order_id, status, seller_deadline,
        tx_hash_create, created_at, updated_at, block_number, release_deadline, delivery_hash, seller_confirmed_at,
        cancelled_by, arbitrator_wallet, dispute_opened_at, dispute_deadline, default_deadline, draw_block,
        completed_at, tx_hash_complete
    FROM escrow.orders
    WHERE chain = :chain AND (onchain_order_id = ANY(:numbers::bigint[]) OR id = ANY(:ids::uuid[]))
    ORDER BY id FOR NO KEY UPDATE
""")
RESERVATIONS = Query("""
    SELECT r.id, r.product_id, r.buyer_wallet, p.seller_wallet, r.token, r.amount
    FROM escrow.reservations r JOIN escrow.products p ON p.id = r.product_id
    WHERE r.id = ANY(:ids::uuid[]) AND r.chain = :chain
""")
USE_RESERVATIONS = Query("""
    UPDATE escrow.reservations SET used_at = now() WHERE id = ANY(:ids::uuid[]) AND used_at IS NULL
""")
# What an order that is not there any more was prepared by is as good as before: its transaction may be mined again.
FREE_RESERVATIONS = Query("UPDATE escrow.reservations SET used_at = NULL WHERE id = ANY(:ids::uuid[])")
ADD_PROFILES = Query("""
    INSERT INTO escrow.user_profiles (wallet, public_key, is_blacklisted)
    SELECT w, '', EXISTS (SELECT FROM escrow.blacklist b WHERE b.wallet = w) FROM unnest(:wallets::text[]) AS w
    ON CONFLICT (wallet) DO NOTHING
""")
LISTED = Query("""
    SELECT DISTINCT ON (p.seller_wallet, p.product_hash) p.seller_wallet, p.product_hash, p.id
    FROM unnest(:sellers::text[], :hashes::text[]) AS v(seller, hash)
    JOIN escrow.products p ON p.seller_wallet = v.seller AND p.product_hash = v.hash
    ORDER BY p.seller_wallet, p.product_hash, p.created_at DESC, p.id DESC
""")
ADD_UNLISTED = Query("""
    INSERT INTO escrow.products (id, seller_wallet, title_preview, description_preview, category, price_usdt, stock,
        product_hash, status, deleted_at)
    VALUES (:id, :seller, 'Not listed here', 'Sold on the contract directly; this market never listed it.', 'other',
        :price, 0, :product_hash, 'deleted', now())
""")
# No stronger lock than that: two mirrors that have both made orders of a listing hold its key, each against the other.
PRODUCTS = Query("""
    SELECT id, stock, oversold, total_sold, status FROM escrow.products WHERE id = ANY(:ids::uuid[]) ORDER BY id
    FOR NO KEY UPDATE
""")
SET_PRODUCTS = Query("""
    UPDATE escrow.products p
    SET stock = v.stock, oversold = v.oversold, total_sold = v.total_sold, status = v.status, updated_at = now()
    FROM unnest(:ids::uuid[], :stocks::int[], :oversold::int[], :sold::int[], :statuses::escrow.product_status[])
        AS v(id, stock, oversold, total_sold, status)
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
        status = v.status, seller_deadline = v.seller_deadline,
        tx_hash_create = v.tx_hash_create, created_at = v.created_at, updated_at = v.updated_at,
        block_number = v.block_number, release_deadline = v.release_deadline, delivery_hash = v.delivery_hash,
        seller_confirmed_at = v.seller_confirmed_at, cancelled_by = v.cancelled_by,
        arbitrator_wallet = v.arbitrator_wallet, dispute_opened_at = v.dispute_opened_at,
        dispute_deadline = v.dispute_deadline, default_deadline = v.default_deadline, draw_block = v.draw_block,
        completed_at = v.completed_at, tx_hash_complete = v.tx_hash_complete,
        ruled_in_conflict = CASE WHEN v.status IN ('resolved_buyer', 'resolved_seller') THEN o.ruled_in_conflict END
    FROM unnest(:id::uuid[], :status::escrow.order_status[], :seller_deadline::timestamptz[],
        :tx_hash_create::text[], :created_at::timestamptz[], :updated_at::timestamptz[], :block_number::bigint[],
        :release_deadline::timestamptz[], :delivery_hash::text[], :seller_confirmed_at::timestamptz[],
        :cancelled_by::text[], :arbitrator_wallet::text[], :dispute_opened_at::timestamptz[],
        :dispute_deadline::timestamptz[], :default_deadline::timestamptz[], :draw_block::bigint[],
        :completed_at::timestamptz[], :tx_hash_complete::text[])
        AS v(id, status, seller_deadline, tx_hash_create, created_at, updated_at, block_number,
            release_deadline, delivery_hash, seller_confirmed_at, cancelled_by, arbitrator_wallet, dispute_opened_at,
            dispute_deadline, default_deadline, draw_block, completed_at, tx_hash_complete)
    WHERE o.id = v.id
""")
ORPHAN = Query("""
    UPDATE escrow.orders SET onchain_order_id = nextval('escrow.orphan_numbers'), orphaned_at = now()
    WHERE id = ANY(:ids::uuid[])
""")


class KeptOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `orders`, as far as the mirror reads it."""

    id: UUID
    buyer_wallet: str
    seller_wallet: str
    product_id: UUID
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
    default_deadline: datetime | None
    draw_block: int | None
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
    oversold: int
    total_sold: int
    status: ProductStatus


class Touched(msgspec.Struct, frozen=True):
    """What removed events had told of: orders by the contract's number, arbitrators by wallet; both may be empty."""

    orders: list[int]
    arbitrators: list[str]


def columns(rows: Iterable[msgspec.Struct], names: Sequence[str]) -> dict[str, list[Any]]:
    """The rows turned into one array a column, for unnest."""
    kept = list(rows)
    return {name: [getattr(row, name) for row in kept] for name in names}


async def position(db: Read, chain: str, contract: str) -> Position | None:
    """How far the contract is mirrored; None where nothing of it is yet."""
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


async def add_events(db: Write, chain: str, contract: str, seen: Sequence[Seen]) -> None:
    """Keeps events where they stand on the chain. The pool's tell of one of its members, where of anybody."""
    await db.run(
        ADD_EVENTS,
        chain=chain,
        contract=contract,
        block_number=[one.log.block_number for one in seen],
        log_index=[one.log.log_index for one in seen],
        block_hash=[one.log.block_hash for one in seen],
        block_at=[one.at for one in seen],
        tx_hash=[one.log.tx_hash for one in seen],
        name=[type(one.event).__name__ for one in seen],
        onchain_order_id=[getattr(one.event, "order_id", None) for one in seen],
        arbitrator_wallet=[one.event.arbitrator if isinstance(one.event, events.OF_MEMBERS) else None for one in seen],
        fields=[events.as_json(one.event) for one in seen],
    )


async def remove_events(db: Write, chain: str, contract: str, above: int) -> Touched:
    """Removes what a reorganisation undid."""
    rows = await db.rows(REMOVE_EVENTS, chain=chain, contract=contract, above=above)
    orders = sorted({row["order_id"] for row in rows} - {None})
    return Touched(orders, sorted({row["arbitrator"] for row in rows} - {None}))


async def events_of(
    db: Read, chain: str, contract: str, orders: Sequence[int], arbitrators: Sequence[str]
) -> list[Record]:
    """All events of a contract that tell of one of these, in the chain's order."""
    return await db.rows(EVENTS, chain=chain, contract=contract, orders=orders, arbitrators=arbitrators)


async def add_profiles(db: Write, wallets: Sequence[str]) -> None:
    """Profiles for wallets that only a contract has seen so far, each as blacklisted as it is."""
    await db.run(ADD_PROFILES, wallets=wallets)


async def listed(db: Read, goods: Collection[tuple[str, str]]) -> dict[tuple[str, str], UUID]:
    """The newest listing of each of these goods that has one, by seller and hash."""
    rows = await db.rows(LISTED, sellers=[seller for seller, _ in goods], hashes=[good for _, good in goods])
    return {(row[0], row[1]): UUID(int=row[2].int) for row in rows}


async def known_blocks(db: Read, chain: str, contract: str, upto: int, most: int) -> list[tuple[int, str]]:
    """Blocks that events are held of, newest first."""
    rows = await db.rows(KNOWN_BLOCKS, chain=chain, contract=contract, upto=upto, most=most)
    return [(row[0], row[1]) for row in rows]
