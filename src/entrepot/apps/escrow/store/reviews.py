"""SQL of reviews. Those of a trade that the chain took back are kept, but stand nowhere until it is one again."""

from typing import Any
from uuid import UUID

from entrepot.apps.escrow.calls.reviews import AddReview, ListReviews, Review
from entrepot.apps.escrow.store.reputation import STANDS
from entrepot.kernel.db.answers import bounded, moment, page
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import paging
from entrepot.kernel.wallet import Wallet

ADD = Query("""
    INSERT INTO escrow.reviews (id, order_id, reviewer_wallet, target_wallet, rating)
    VALUES (:review, :id, :by, :target, :rating)
    ON CONFLICT (order_id, reviewer_wallet) DO NOTHING
    RETURNING id, order_id, reviewer_wallet, target_wallet, rating, created_at
""")


def listing(*, later: bool) -> Query:
    """The statement for a page; no row where nobody has this wallet."""
    beyond = "AND (r.created_at, r.id) < (:key, :last)" if later else ""
    rows = f"""SELECT r.id, r.order_id, r.reviewer_wallet, r.target_wallet, r.rating,
        {moment("r.created_at")} AS created_at
    FROM escrow.reviews r JOIN escrow.orders o ON o.id = r.order_id
    WHERE r.target_wallet = u.wallet AND {STANDS} {beyond}
    ORDER BY r.created_at DESC, r.id DESC"""
    made = page(bounded(rows), "newest", "created_at")
    return Query(f"SELECT ({made}) FROM escrow.user_profiles u WHERE u.wallet = :wallet")


FIRST, LATER = listing(later=False), listing(later=True)


async def add(db: Write, review: UUID, ask: AddReview, target: Wallet) -> Review | None:
    """The new review, or None where this party has written one for this order."""
    return await db.maybe(Review, ADD, review=review, id=ask.id, by=ask.by, target=target, rating=ask.rating)


async def reviews(db: Read, ask: ListReviews) -> Json | None:
    """A page of a user's reviews, or None where there is no such user."""
    given: dict[str, Any] = {"wallet": ask.wallet, "limit": ask.limit}
    if ask.cursor is None:
        return await db.json(FIRST, **given)
    key, last = ask.cursor.place("newest", paging.moment)
    return await db.json(LATER, key=key, last=last, **given)
