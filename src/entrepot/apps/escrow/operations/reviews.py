"""What can be done with reviews: a party writes one of the other side, and everyone may read them."""

from typing import Annotated

from entrepot.apps.escrow.calls.reviews import AddReview, ListReviews, Review, ReviewPage
from entrepot.apps.escrow.operations import reputation
from entrepot.apps.escrow.points import TRADES
from entrepot.apps.escrow.refusals import AlreadyReviewed, NoSuchOrder, NoSuchProfile
from entrepot.apps.escrow.store import orders
from entrepot.apps.escrow.store import reputation as reputation_store
from entrepot.apps.escrow.store import reviews as store
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.refusal import WrongState
from entrepot.kernel.values import new_id


async def add_review(db: Write, ask: AddReview) -> Review:
    """Review the other side of a trade of yours that has ended, once.

    The order is locked, so that the chain cannot take it back meanwhile; then the profile that is counted anew.
    """
    deal = await orders.lock_deal(db, ask.id, ask.by)
    if deal is None:
        raise NoSuchOrder
    if deal.status not in TRADES:
        raise WrongState(state=deal.status, event="review", expected=" or ".join(sorted(TRADES)))
    target = deal.seller_wallet if ask.by == deal.buyer_wallet else deal.buyer_wallet
    review = await store.add(db, new_id(), ask, target)
    if review is None:
        raise AlreadyReviewed
    await reputation_store.lock(db, [target])
    await reputation.rebuild(db, [target])
    return review


async def list_reviews(db: Read, ask: ListReviews) -> Annotated[Json, ReviewPage]:
    """List what others thought of a user, newest first."""
    found = await store.reviews(db, ask)
    if found is None:
        raise NoSuchProfile
    return found
