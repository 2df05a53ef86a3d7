"""SQL of listings. What a partial index is to serve stands in the text as a literal: status = 'active'."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.products import CreateProduct, Product
from entrepot.apps.escrow.model import Category, ProductStatus
from entrepot.apps.escrow.store.profiles import BLACKLISTED, PUBLIC
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.money import Amount
from entrepot.kernel.values import Hash32
from entrepot.kernel.wallet import Wallet

COLUMNS = """id, seller_wallet, title_preview, description_preview, category, price_usdt, stock, total_sold,
    product_hash, status, created_at, updated_at"""

DETAIL = Query(f"""
    SELECT json_build_object('id', p.id, 'seller_wallet', p.seller_wallet, 'title_preview', p.title_preview,
        'description_preview', p.description_preview, 'category', p.category, 'price_usdt', p.price_usdt::text,
        'stock', p.stock, 'total_sold', p.total_sold, 'product_hash', p.product_hash, 'status', p.status,
        'created_at', {moment("p.created_at")}, 'updated_at', {moment("p.updated_at")}, 'seller', {PUBLIC})
    FROM escrow.products p JOIN escrow.user_profiles u ON u.wallet = p.seller_wallet
    WHERE p.id = :id AND p.deleted_at IS NULL AND NOT u.is_blacklisted
""")
ADD = Query(f"""
    INSERT INTO escrow.products
        (id, seller_wallet, title_preview, description_preview, category, price_usdt, stock, product_hash)
    VALUES (:id, :seller, :title, :description, :category, :price, :stock, :product_hash)
    RETURNING {COLUMNS}
""")
LOCK_OWN = Query(f"""
    SELECT {COLUMNS} FROM escrow.products
    WHERE id = :id AND seller_wallet = :seller AND deleted_at IS NULL FOR NO KEY UPDATE
""")
EDIT = Query(f"""
    UPDATE escrow.products SET title_preview = :title, description_preview = :description, category = :category,
        price_usdt = :price, stock = :stock, oversold = CASE WHEN :restocked THEN 0 ELSE oversold END, status = :now,
        updated_at = now()
    WHERE id = :id AND status = :was
    RETURNING {COLUMNS}
""")
DELETE = Query("""
    UPDATE escrow.products SET status = :now, deleted_at = now(), updated_at = now() WHERE id = :id AND status = :was
""")
LOCK_OFFER = Query(f"""
    SELECT p.id, p.seller_wallet, p.price_usdt, p.stock, p.product_hash, p.status, u.created_at AS seller_since
    FROM escrow.products p JOIN escrow.user_profiles u ON u.wallet = p.seller_wallet
    WHERE p.id = :id AND p.deleted_at IS NULL AND NOT {BLACKLISTED}
    FOR NO KEY UPDATE OF p
""")


class Offer(msgspec.Struct, frozen=True):
    """A listing, as far as a buyer's preparation looks at it."""

    id: UUID
    seller_wallet: Wallet
    price_usdt: Amount
    stock: int
    product_hash: Hash32
    status: ProductStatus
    seller_since: datetime


class Wording(msgspec.Struct, frozen=True):
    """What of a listing its seller words."""

    title: str
    description: str
    category: Category
    price: Amount
    stock: int
    restocked: bool
    """The seller says how many are left, after all orders that there are."""


async def detail(db: Read, product: UUID) -> Json | None:
    """A listing and its seller's profile; none that was deleted, and none of a banned seller."""
    return await db.json(DETAIL, id=product)


async def add(db: Write, product: UUID, ask: CreateProduct) -> Product:
    """A new listing."""
    return await db.one(
        Product,
        ADD,
        id=product,
        seller=ask.by,
        title=ask.title_preview,
        description=ask.description_preview,
        category=ask.category,
        price=ask.price_usdt,
        stock=ask.stock,
        product_hash=ask.product_hash,
    )


async def lock_own(db: Write, product: UUID, seller: Wallet) -> Product | None:
    """A listing of this seller's, held until the transaction ends."""
    return await db.maybe(Product, LOCK_OWN, id=product, seller=seller)


async def edit(db: Write, product: Product, wording: Wording, now: ProductStatus) -> Product:
    """Compare-and-set of the status, with the seller's words."""
    words: dict[str, Any] = msgspec.structs.asdict(wording)
    return await db.one(Product, EDIT, id=product.id, was=product.status, now=now, **words)


async def delete(db: Write, product: Product, now: ProductStatus) -> None:
    """Takes a listing away; the row stays for its orders' sake."""
    await db.run(DELETE, id=product.id, was=product.status, now=now)


async def lock_offer(db: Write, product: UUID) -> Offer | None:
    """What a buyer wants, held until the transaction ends, so that its stock is counted by one at a time."""
    return await db.maybe(Offer, LOCK_OFFER, id=product)
