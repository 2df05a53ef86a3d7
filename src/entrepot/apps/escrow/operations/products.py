"""What can be done with listings."""

from typing import Annotated

import msgspec
from msgspec import UNSET

from entrepot.apps.escrow.caches import PRODUCT_LISTS
from entrepot.apps.escrow.calls.products import (
    CreateProduct,
    DeleteProduct,
    EditProduct,
    GetProduct,
    ListProducts,
    Product,
    ProductDetail,
    ProductPage,
    SellerStatus,
)
from entrepot.apps.escrow.model import PRODUCT, ProductEvent, ProductStatus
from entrepot.apps.escrow.operations import search
from entrepot.apps.escrow.operations.members import trader
from entrepot.apps.escrow.refusals import NoSuchProduct
from entrepot.apps.escrow.store import catalogue, products
from entrepot.apps.escrow.store.products import Wording
from entrepot.apps.escrow.store.search import Samples
from entrepot.kernel.cache.busts import forget
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import new_id

ASKED = {SellerStatus.ACTIVE: ProductEvent.RESUME, SellerStatus.PAUSED: ProductEvent.PAUSE}


async def list_products(db: Read, ask: ListProducts, samples: Samples) -> Annotated[Json, ProductPage]:
    """List what can be bought.

    A page may be shorter than asked, and even empty, while `next_cursor` still leads on.
    """
    return await (catalogue.products(db, ask) if ask.q is None else search.products(db, ask, samples))


async def get_product(db: Read, ask: GetProduct) -> Annotated[Json, ProductDetail]:
    """Show a listing and its seller."""
    found = await products.detail(db, ask.id)
    if found is None:
        raise NoSuchProduct
    return found


async def create_product(db: Write, ask: CreateProduct) -> Product:
    """Offer something for sale.

    Only the preview comes here. The good itself stays with its seller, and its hash stands in the contract.
    """
    await trader(db, ask.by)
    await forget(db, PRODUCT_LISTS)
    return await products.add(db, new_id(), ask)


async def edit_product(db: Write, ask: EditProduct) -> Product:
    """Change, pause or resume a listing of yours."""
    if all(getattr(ask, name) is UNSET for name in ask.__struct_fields__ if name not in ("by", "id")):
        raise Malformed("body", "names nothing to change")
    await trader(db, ask.by)
    product = await products.lock_own(db, ask.id, ask.by)
    if product is None:
        raise NoSuchProduct
    wording = reworded(product, ask)
    await forget(db, PRODUCT_LISTS)
    return await products.edit(db, product, wording, status_after(product.status, wording.stock, ask))


async def delete_product(db: Write, ask: DeleteProduct) -> None:
    """Take a listing of yours away. Orders of it go on."""
    product = await products.lock_own(db, ask.id, ask.by)
    if product is None:
        raise NoSuchProduct
    await forget(db, PRODUCT_LISTS)
    await products.delete(db, product, PRODUCT.after(product.status, ProductEvent.DELETE))


def reworded(product: Product, ask: EditProduct) -> Wording:
    """What the listing says after the change."""
    words = Wording(
        product.title_preview,
        product.description_preview,
        product.category,
        product.price_usdt,
        product.stock,
        restocked=ask.stock is not UNSET,
    )
    asked = {
        "title": ask.title_preview,
        "description": ask.description_preview,
        "category": ask.category,
        "price": ask.price_usdt,
        "stock": ask.stock,
    }
    return msgspec.structs.replace(words, **{name: value for name, value in asked.items() if value is not UNSET})


def status_after(status: ProductStatus, stock: int, ask: EditProduct) -> ProductStatus:
    """First what the seller asks, then what follows from the stock; raises `WrongState`."""
    if ask.status is not UNSET:
        status = PRODUCT.after(status, ASKED[ask.status])
    event = ProductEvent.RESTOCK if stock else ProductEvent.SELL_OUT
    return PRODUCT.after(status, event) if PRODUCT.takes(status, event) else status
