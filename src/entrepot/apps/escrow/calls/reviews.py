"""Reviews: what their calls take and answer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from entrepot.kernel.http.paging import Cursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.wallet import Wallet


class AddReview(Ask, frozen=True):
    """How content a party was with the other side of a trade."""

    by: Wallet
    id: UUID
    rating: Annotated[int, msgspec.Meta(ge=1, le=5)]
    """Stars."""


class ListReviews(Ask, frozen=True):
    """What others thought of a user, newest first."""

    wallet: Wallet
    cursor: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class Review(msgspec.Struct, frozen=True):
    """What one party of a trade thought of the other."""

    id: UUID
    order_id: UUID
    reviewer_wallet: Wallet
    target_wallet: Wallet
    rating: int
    created_at: datetime


class ReviewPage(msgspec.Struct, frozen=True):
    """A page of reviews; `next_cursor` is null at the end."""

    items: list[Review]
    next_cursor: str | None
