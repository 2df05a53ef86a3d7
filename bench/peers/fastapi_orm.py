"""FastAPI with SQLAlchemy's async ORM and Pydantic models: the usual way, written as its documentation says."""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, MetaData, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, contains_eager, mapped_column, relationship
from sqlalchemy.types import Enum

ENGINE = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=int(os.environ["POOL_SIZE"]),
    max_overflow=0,
    connect_args={"server_settings": {"timezone": "UTC"}},
)
SESSIONS = async_sessionmaker(ENGINE, expire_on_commit=False)
STATUS = Enum("active", "paused", "sold_out", "deleted", name="product_status", schema="escrow")
CATEGORY = Enum("data", "accounts", "tools", "services", "other", name="product_category", schema="escrow")
TIER = Enum("new", "standard", "trusted", name="user_tier", schema="escrow")


class Base(DeclarativeBase):
    """All tables live in the escrow schema."""

    metadata = MetaData(schema="escrow")


class UserProfile(Base):
    """A seller."""

    __tablename__ = "user_profiles"
    wallet: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str | None]
    public_key: Mapped[str]
    reputation_score: Mapped[Decimal]
    total_trades: Mapped[int]
    rating: Mapped[Decimal | None]
    tier: Mapped[str] = mapped_column(TIER)
    is_blacklisted: Mapped[bool]
    created_at: Mapped[datetime]


class Product(Base):
    """A listed product."""

    __tablename__ = "products"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    seller_wallet: Mapped[str] = mapped_column(ForeignKey("escrow.user_profiles.wallet"))
    title_preview: Mapped[str]
    description_preview: Mapped[str]
    category: Mapped[str] = mapped_column(CATEGORY)
    price_usdt: Mapped[Decimal]
    stock: Mapped[int]
    total_sold: Mapped[int]
    product_hash: Mapped[str]
    status: Mapped[str] = mapped_column(STATUS)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    seller: Mapped[UserProfile] = relationship()


class Model(BaseModel):
    """Answers are read from the ORM's objects."""

    model_config = ConfigDict(from_attributes=True)


class SellerOut(Model):
    """A seller's public profile."""

    wallet: str
    display_name: str | None
    public_key: str
    reputation_score: Decimal
    total_trades: int
    rating: Decimal | None
    tier: str
    created_at: datetime


class SellerInList(Model):
    """What a list tells of a seller."""

    wallet: str
    display_name: str | None
    rating: Decimal | None


class Listed(Model):
    """One line of a list."""

    id: UUID
    title_preview: str
    description_preview: str
    category: str
    price_usdt: Decimal
    stock: int
    total_sold: int
    created_at: datetime
    seller: SellerInList


class Page(BaseModel):
    """A page of the list."""

    items: list[Listed]
    next_cursor: str | None


class ProductOut(Model):
    """One product with its seller."""

    id: UUID
    title_preview: str
    description_preview: str
    category: str
    price_usdt: Decimal
    stock: int
    total_sold: int
    product_hash: str
    status: str
    created_at: datetime
    updated_at: datetime
    seller: SellerOut


async def session() -> AsyncIterator[AsyncSession]:
    """One session for one request."""
    async with SESSIONS() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]
app = FastAPI()
OPEN = (Product.deleted_at.is_(None), UserProfile.is_blacklisted.is_(False))
WITH_SELLER = select(Product).join(Product.seller).options(contains_eager(Product.seller)).where(*OPEN)


@app.get("/api/v1/escrow/products")
async def list_products(
    db: Session, limit: Annotated[int, Query(ge=1, le=100)] = 20, cursor: str | None = None
) -> Page:
    """A page of active products, newest first."""
    query = WITH_SELLER.where(Product.status == "active")
    if cursor:
        moment, _, product = urlsafe_b64decode(cursor).decode().partition("~")
        place = tuple_(datetime.fromisoformat(moment), UUID(product))
        query = query.where(tuple_(Product.created_at, Product.id) < place)
    found = await db.scalars(query.order_by(Product.created_at.desc(), Product.id.desc()).limit(limit))
    products = found.all()
    last = f"{products[-1].created_at.isoformat()}~{products[-1].id}".encode() if len(products) == limit else None
    items = [Listed.model_validate(product) for product in products]
    return Page(items=items, next_cursor=urlsafe_b64encode(last).decode() if last else None)


@app.get("/api/v1/escrow/products/{product_id}", response_model=ProductOut)
async def read_product(db: Session, product_id: UUID) -> Product:
    """One product with its seller's public profile."""
    product = await db.scalar(WITH_SELLER.where(Product.id == product_id))
    if product is None:
        raise HTTPException(404)
    return product
