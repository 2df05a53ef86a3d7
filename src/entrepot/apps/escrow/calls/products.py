"""Listings: what their calls take and answer."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from entrepot.apps.escrow.calls.profiles import Profile
from entrepot.apps.escrow.model import Category, ProductStatus
from entrepot.kernel.http.paging import Cursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.money import Amount, Price
from entrepot.kernel.values import Hash32, Text
from entrepot.kernel.wallet import Wallet

Stock = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
StockLeft = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=100)]


class Title(Text):
    """What a listing is called."""

    __slots__ = ()
    most = 100
    example = "Water level of the Danube, hourly"


class Description(Text):
    """What a listing is, for everyone to read."""

    __slots__ = ()
    most = 500
    lines = True
    example = "Three gauges, 1998 to 2025."


class ListingPrice(Price):
    """A price that the contract can hold: up to 100,000,000,000 of a token (its MAX_TOKENS)."""

    __slots__ = ()
    most = Decimal(10) ** 11


class ProductSort(StrEnum):
    """How a list of products is sorted."""

    NEWEST = "newest"
    PRICE = "price"
    PRICE_DESC = "price_desc"
    BEST_SELLING = "best_selling"


class SellerStatus(StrEnum):
    """What a seller may ask a listing to be."""

    ACTIVE = "active"
    PAUSED = "paused"


class CreateProduct(Ask, frozen=True):
    """A new listing: its public preview only."""

    by: Wallet
    title_preview: Title
    description_preview: Description
    category: Category
    price_usdt: ListingPrice
    stock: Stock
    product_hash: Hash32
    """SHA-256 of the good itself, which the contract will hold too."""


class EditProduct(Ask, frozen=True):
    """What of a listing shall be otherwise; what is not named stays."""

    by: Wallet
    id: UUID
    title_preview: Title | UnsetType = UNSET
    description_preview: Description | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    price_usdt: ListingPrice | UnsetType = UNSET
    stock: StockLeft | UnsetType = UNSET
    """How many are left; 0 takes an active listing out of sale, and more brings it back."""
    status: SellerStatus | UnsetType = UNSET


class DeleteProduct(Ask, frozen=True):
    """A listing that its seller takes away."""

    by: Wallet
    id: UUID


class GetProduct(Ask, frozen=True):
    """One listing."""

    id: UUID


class ListProducts(Ask, frozen=True):
    """Listings that can be bought now."""

    q: Text | None = None
    """Words that stand in the title or the description, next to each other and in this order."""
    category: Category | None = None
    min_price: Amount | None = None
    max_price: Amount | None = None
    seller: Wallet | None = None
    sort: ProductSort = ProductSort.NEWEST
    cursor: Cursor | None = None
    limit: Limit = 20


class Product(msgspec.Struct, frozen=True):
    """A listing."""

    id: UUID
    seller_wallet: Wallet
    title_preview: str
    description_preview: str
    category: Category
    price_usdt: Amount
    stock: int
    total_sold: int
    product_hash: Hash32
    status: ProductStatus
    created_at: datetime
    updated_at: datetime


class ProductDetail(Product, frozen=True):
    """A listing and who sells it."""

    seller: Profile


class ProductCard(msgspec.Struct, frozen=True):
    """A listing as it stands in a list."""

    id: UUID
    title_preview: str
    description_preview: str
    category: Category
    price_usdt: Amount
    stock: int
    total_sold: int
    created_at: datetime
    seller_wallet: Wallet
    seller_display_name: str | None
    seller_rating: Amount | None


class ProductPage(msgspec.Struct, frozen=True):
    """A page of listings; `next_cursor` is null at the end."""

    items: list[ProductCard]
    next_cursor: str | None
