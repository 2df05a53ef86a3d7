"""Listings, as a client sees them: found page by page, made, changed and taken away."""

from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID

from msgspec import UNSET, UnsetType

from entrepot.apps.escrow.calls.products import (
    CreateProduct,
    DeleteProduct,
    EditProduct,
    GetProduct,
    ListProducts,
    Product,
    ProductCard,
    ProductDetail,
    ProductPage,
    ProductSort,
    SellerStatus,
)
from entrepot.apps.escrow.model import Category
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.wallet import Wallet


class Products:
    """The listings of one market, for one wallet."""

    def __init__(self, transport: Transport, wallet: Wallet) -> None:
        self._transport, self._wallet = transport, wallet

    async def list(
        self,
        q: str | None = None,
        *,
        category: Category | None = None,
        min_price: Decimal | None = None,
        max_price: Decimal | None = None,
        seller: str | None = None,
        sort: ProductSort = ProductSort.NEWEST,
    ) -> AsyncIterator[ProductCard]:
        """What can be bought now, page after page. `q` are words that stand next to each other."""
        given = {"q": q, "category": category, "min_price": min_price, "max_price": max_price, "seller": seller}
        ask = asked(ListProducts, **given, sort=sort, limit=PAGE)
        async for card in self._transport.every("/escrow/products", ask, ProductPage):
            yield card

    async def get(self, product: UUID) -> ProductDetail:
        """One listing, and who sells it."""
        return await self._transport.get("/escrow/products/{id}", GetProduct(id=product), ProductDetail)

    async def create(
        self, *, title: str, description: str, category: Category, price: Decimal, stock: int, good: str, key: str = ""
    ) -> Product:
        """A new listing. `good` is the SHA-256 of the good, 0x and hexadecimal; `key` the idempotency key."""
        ask = asked(
            CreateProduct,
            by=self._wallet,
            title_preview=title,
            description_preview=description,
            category=category,
            price_usdt=price,
            stock=stock,
            product_hash=good,
        )
        return await self._transport.command("POST", "/escrow/products", ask, Product, key=key)

    async def edit(
        self,
        product: UUID,
        *,
        title: str | UnsetType = UNSET,
        description: str | UnsetType = UNSET,
        category: Category | UnsetType = UNSET,
        price: Decimal | UnsetType = UNSET,
        stock: int | UnsetType = UNSET,
        status: SellerStatus | UnsetType = UNSET,
    ) -> Product:
        """Changes what is named."""
        ask = asked(
            EditProduct,
            by=self._wallet,
            id=product,
            title_preview=title,
            description_preview=description,
            category=category,
            price_usdt=price,
            stock=stock,
            status=status,
        )
        return await self._transport.command("PATCH", "/escrow/products/{id}", ask, Product)

    async def delete(self, product: UUID) -> None:
        """Takes a listing away."""
        ask = DeleteProduct(by=self._wallet, id=product)
        await self._transport.command("DELETE", "/escrow/products/{id}", ask, type(None))
