"""Whatever orders and reviews there are, and however they came about, the profiles say what the rules make of them."""

import os
import random
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.apps.escrow.calls.reviews import AddReview
from entrepot.apps.escrow.operations.reputation import rebuild_all
from entrepot.apps.escrow.operations.reviews import add_review
from entrepot.apps.escrow.refusals import AlreadyReviewed
from entrepot.kernel.db.database import Database
from entrepot.kernel.refusal import WrongState
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet
from tests.apps.escrow.replay import PEOPLE, WAYS, Replay
from tests.apps.escrow.standings import settled, wrong

CLEAR = "TRUNCATE escrow.user_profiles, escrow.contract_events, escrow.event_sync_cursor CASCADE"
PROFILES = """
    INSERT INTO escrow.user_profiles (wallet, public_key, total_trades, rating, tier, reputation_score)
    SELECT wallet, '', $2, nullif($3, 0), 'trusted', -7 FROM unnest($1::text[]) wallet
"""
PRODUCT = """
    INSERT INTO escrow.products (id, seller_wallet, title_preview, description_preview, category, price_usdt,
        product_hash)
    VALUES ($1, $2, 'A good', 'Good', 'data', 10, '0x00')
"""
ORDERS = """
    INSERT INTO escrow.orders (id, onchain_order_id, chain, buyer_wallet, seller_wallet, product_id, token, amount,
        platform_fee, status, cancelled_by, orphaned_at, tx_hash_create, block_number, seller_deadline)
    VALUES ($1, $2, $3, $4, $5, $6, 'USDT', 10, 0.1, $7, $8, $9, '0x00', 1, now())
"""
REVIEW = "INSERT INTO escrow.reviews (order_id, reviewer_wallet, target_wallet, rating) VALUES ($1, $2, $3, $4)"
STATES = st.sampled_from(sorted(WAYS))
PAIRS = st.sampled_from(PEOPLE).flatmap(
    lambda buyer: st.tuples(st.just(buyer), st.sampled_from([one for one in PEOPLE if one != buyer]))
)
STARS = st.none() | st.integers(1, 5)
WRITTEN = st.tuples(
    PAIRS, STATES, st.sampled_from([0, 1, 2]), st.booleans(), STARS, STARS, st.sampled_from(["bsc", "base"])
)
"""Parties, state, who cancelled (2 is nobody), whether it is an orphan, both reviews and the chain."""
HAPPENING = st.one_of(
    st.tuples(st.just("trade"), PAIRS, STATES, st.booleans()),
    st.tuples(st.just("review"), st.integers(0, 30), st.booleans(), st.integers(1, 5)),
    st.tuples(st.just("back"), st.integers(1, 12)),
)
ON_ONE_DATABASE = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)


async def write(owner: asyncpg.Connection, number: int, product: Any, written: Any) -> None:
    """One order and its reviews, as they are given."""
    (buyer, seller), status, canceller, is_orphan, of_seller, of_buyer, chain = written
    order = new_id()
    by = (buyer, seller, None)[canceller]
    orphaned = await owner.fetchval("SELECT now()") if is_orphan else None
    await owner.execute(ORDERS, order, number, chain, buyer, seller, product, status, by, orphaned)
    for reviewer, target, stars in ((buyer, seller, of_seller), (seller, buyer, of_buyer)):
        if stars is not None:
            await owner.execute(REVIEW, order, reviewer, target, stars)


@ON_ONE_DATABASE
@given(st.lists(WRITTEN, max_size=40), st.integers(0, 200), st.integers(0, 5))
async def test_counting_anew_makes_every_profile_what_the_rules_say_and_then_changes_nothing(
    doors: Database, owner: asyncpg.Connection, orders: list[Any], trades: int, rating: int
) -> None:
    await owner.execute(CLEAR)
    await owner.execute(PROFILES, PEOPLE, trades, rating)
    product = new_id()
    await owner.execute(PRODUCT, product, PEOPLE[0])
    for number, written in enumerate(orders, 1):
        await write(owner, number, product, written)
    off = await wrong(owner)
    assert (await rebuild_all(doors)).changed == len(off)
    await settled(owner, doors)


@ON_ONE_DATABASE
@given(st.lists(HAPPENING, max_size=25))
async def test_what_happens_one_after_the_other_leaves_nothing_to_count_anew(
    doors: Database, owner: asyncpg.Connection, happenings: list[Any]
) -> None:
    await owner.execute(CLEAR)
    replay = Replay(doors)
    await replay.apply(*replay.trade(*PEOPLE[:2], "created"))
    for kind, *given_ in happenings:
        if kind == "trade":
            pair, end, by_seller = given_
            await replay.apply(*replay.trade(*pair, end, pair[by_seller]))
        elif kind == "back":
            await replay.back(given_[0])
        else:
            await review(doors, owner, *given_)
    await settled(owner, doors)


async def review(doors: Database, owner: asyncpg.Connection, which: int, by_seller: bool, rating: int) -> None:  # noqa: FBT001
    """Some order's review by one of its parties, if it takes one."""
    orders = await owner.fetch(
        "SELECT id, buyer_wallet, seller_wallet FROM escrow.orders WHERE orphaned_at IS NULL ORDER BY onchain_order_id"
    )
    if not orders:
        return
    order = orders[which % len(orders)]
    by = Wallet(order["seller_wallet" if by_seller else "buyer_wallet"])
    try:
        async with doors.write() as db:
            await add_review(db, AddReview(by=by, id=order["id"], rating=rating))
    except (WrongState, AlreadyReviewed):
        pass


async def test_hundreds_of_trades_with_reviews_and_reorganisations_leave_nothing_to_count_anew(
    doors: Database, owner: asyncpg.Connection
) -> None:
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"SEED={seed}")
    dice, replay = random.Random(seed), Replay(doors)
    for _ in range(60):
        page = []
        for _ in range(dice.randint(1, 12)):
            pair = dice.sample(PEOPLE, 2)
            page += replay.trade(*pair, dice.choice(list(WAYS)), dice.choice(pair))
        await replay.apply(*page)
        for _ in range(4):
            await review(doors, owner, dice.randrange(500), dice.random() < 0.5, dice.randint(1, 5))
        if dice.random() < 0.3:
            await replay.back(dice.randint(1, 40))
    await settled(owner, doors)
