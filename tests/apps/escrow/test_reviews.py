"""Reviews: who may write one, when, how often, and what everyone sees of them."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.apps.escrow.conftest import Caller, Market
from tests.apps.escrow.standings import wrong
from tests.callers import Answer, refused

ENDED = ("completed", "resolved_buyer", "resolved_seller")
OTHERWISE = ("created", "seller_confirmed", "disputed", "cancelled", "expired")
REBUILD_BY_REVIEW = "a status that the owner writes moves no counts; a review counts its target anew"


@pytest.fixture
async def product(seller: Caller) -> dict[str, Any]:
    return await seller.lists()


async def review(caller: Caller, order: UUID, rating: Any = 5, **more: Any) -> Answer:
    return await caller.post(f"orders/{order}/reviews", rating=rating, **more)


async def profile(caller: Caller) -> dict[str, Any]:
    body: dict[str, Any] = (await caller.get(f"profile/{caller.wallet}")).body
    return body


@pytest.mark.parametrize("status", ENDED)
async def test_each_party_reviews_the_other_once_a_trade_has_ended(
    market: Market, product: dict[str, Any], seller: Caller, buyer: Caller, status: str
) -> None:
    order = await market.order(product, buyer, status=status)
    given = {buyer.wallet: await review(buyer, order, 5), seller.wallet: await review(seller, order, 2)}
    for (by, answer), target, rating in zip(given.items(), (seller, buyer), (5, 2), strict=True):
        assert answer.status == 201
        told = {"order_id": str(order), "reviewer_wallet": by, "target_wallet": target.wallet, "rating": rating}
        assert answer.body.items() >= told.items()
        assert UUID(answer.body["id"]).version == 7
        shown = (await market.stranger().get(f"profile/{target.wallet}/reviews")).body
        assert shown == {"items": [answer.body], "next_cursor": None}
        assert (await profile(target))["rating"] == f"{rating}.00"
    assert await wrong(market.owner) == {}, REBUILD_BY_REVIEW


async def test_five_stars_are_worth_half_a_point_and_four_are_worth_none(
    market: Market, product: dict[str, Any], seller: Caller, buyer: Caller
) -> None:
    for rating, score, mean in ((5, "1.50", "5.00"), (4, "2.50", "4.50"), (5, "4.00", "4.67"), (1, "5.00", "3.75")):
        order = await market.order(product, buyer, status="completed")
        assert (await review(buyer, order, rating)).status == 201
        shown = await profile(seller)
        assert (shown["reputation_score"], shown["rating"]) == (score, mean)
    assert (shown["total_trades"], shown["total_as_seller"], shown["total_as_buyer"]) == (4, 4, 0)


@pytest.mark.parametrize("status", OTHERWISE)
async def test_before_the_end_or_without_a_trade_there_is_nothing_to_review(
    market: Market, product: dict[str, Any], buyer: Caller, status: str
) -> None:
    order = await market.order(product, buyer, status=status)
    before = await market.snapshot()
    expected = "completed or resolved_buyer or resolved_seller"
    refused(await review(buyer, order), 409, "wrong-state", state=status, expected=expected)
    assert await market.snapshot() == before


async def test_who_is_no_party_cannot_tell_that_the_order_exists(
    market: Market, product: dict[str, Any], buyer: Caller
) -> None:
    other = await market.member()
    orders = [
        await market.order(product, buyer, status="completed"),
        await market.order(product, buyer, status="resolved_buyer", arbitrator_wallet=other.wallet),
        await market.order(product, buyer, status="created"),
        UUID(int=1),
    ]
    before = await market.snapshot()
    for order in orders:
        refused(await review(other, order), 404, "no-such-order")
        assert (await review(market.stranger(), order)).status == 401
    assert await market.snapshot() == before


async def test_a_party_reviews_an_order_once_and_what_is_written_stays(
    market: Market, product: dict[str, Any], buyer: Caller
) -> None:
    order = await market.order(product, buyer, status="completed")
    assert (await review(buyer, order, 4)).status == 201
    before = await market.snapshot()
    for rating in (4, 1):
        refused(await review(buyer, order, rating), 409, "already-reviewed")
    assert await market.snapshot() == before


@pytest.mark.parametrize("rating", [0, 6, -1, 4.5, "5", None, True, [5], 10**30])
async def test_a_rating_is_a_whole_number_from_1_to_5(
    market: Market, product: dict[str, Any], buyer: Caller, rating: Any
) -> None:
    order = await market.order(product, buyer, status="completed")
    before = await market.snapshot()
    answer = await review(buyer, order, rating)
    assert (answer.status, answer.body["field"]) == (422, "rating")
    assert await market.snapshot() == before


async def test_what_else_is_malformed_is_refused_by_field(
    market: Market, product: dict[str, Any], buyer: Caller
) -> None:
    order = await market.order(product, buyer, status="completed")
    before = await market.snapshot()
    for answer, field in (
        (await buyer.post(f"orders/{order}/reviews"), "rating"),
        (await review(buyer, order, text="splendid"), "text"),
        (await buyer.post("orders/1/reviews", rating=5), "id"),
        (await buyer.get("profile/0x12/reviews"), "wallet"),
        (await buyer.get(f"profile/{buyer.wallet}/reviews", limit=101), "limit"),
        (await buyer.get(f"profile/{buyer.wallet}/reviews", cursor="x"), "cursor"),
    ):
        assert (answer.status, answer.body["field"]) == (422, field)
    assert await market.snapshot() == before


async def test_an_order_that_the_chain_took_back_cannot_be_reviewed_and_its_reviews_stand_nowhere(
    market: Market, product: dict[str, Any], seller: Caller, buyer: Caller
) -> None:
    kept, gone = [await market.order(product, buyer, status="completed") for _ in range(2)]
    for order, rating in ((kept, 4), (gone, 1)):
        assert (await review(buyer, order, rating)).status == 201
    orphan = "UPDATE escrow.orders SET orphaned_at = now(), onchain_order_id = -1 WHERE id = $1"
    await market.owner.execute(orphan, gone)
    refused(await review(seller, gone), 404, "no-such-order")
    items = (await buyer.get(f"profile/{seller.wallet}/reviews")).body["items"]
    assert [item["order_id"] for item in items] == [str(kept)]


async def test_a_review_waits_for_the_chain_that_is_taking_its_trade_back(
    market: Market, product: dict[str, Any], seller: Caller, buyer: Caller
) -> None:
    order = await market.order(product, buyer, status="completed")
    async with market.owner.transaction():
        await market.owner.execute("UPDATE escrow.orders SET status = 'seller_confirmed' WHERE id = $1", order)
        waiting = asyncio.create_task(review(buyer, order))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    refused(await waiting, 409, "wrong-state", state="seller_confirmed")
    assert (await profile(seller))["rating"] is None


async def test_two_reviews_at_once_by_one_party_are_one(
    market: Market, product: dict[str, Any], seller: Caller, buyer: Caller
) -> None:
    for _ in range(10):
        order = await market.order(product, buyer, status="completed")
        answers = await asyncio.gather(*(review(buyer, order, rating) for rating in (5, 1, 5)))
        assert sorted(answer.status for answer in answers) == [201, 409, 409]
        shown = await market.owner.fetchval("SELECT count(*) FROM escrow.reviews WHERE order_id = $1", order)
        assert shown == 1
    assert (await profile(seller))["total_trades"] == 10
    both = await asyncio.gather(review(seller, order), *(review(buyer, order) for _ in range(2)))
    assert [answer.status for answer in both] == [201, 409, 409]


async def test_many_reviews_of_one_user_at_once_keep_his_rating_exact(
    market: Market, product: dict[str, Any], seller: Caller
) -> None:
    buyers = [await market.member() for _ in range(6)]
    ratings = [[1 + (n * k) % 5 for n in range(6)] for k in range(1, 6)]
    for row in ratings:
        orders = [await market.order(product, buyer, status="completed") for buyer in buyers]
        answers = await asyncio.gather(*map(review, buyers, orders, row))
        assert {answer.status for answer in answers} == {201}
    stars = [rating for row in ratings for rating in row]
    shown = await profile(seller)
    assert shown["rating"] == str((Decimal(sum(stars)) / 30).quantize(Decimal("0.01")))
    assert Decimal(shown["reputation_score"]) == 30 + Decimal(stars.count(5)) / 2
    assert seller.wallet not in await wrong(market.owner)


async def test_pages_hold_every_review_once_newest_first(
    market: Market, product: dict[str, Any], seller: Caller, buyer: Caller
) -> None:
    for _ in range(8):
        assert (await review(buyer, await market.order(product, buyer, status="completed"))).status == 201
    await market.owner.execute("UPDATE escrow.reviews SET created_at = date_trunc('hour', now())")
    wanted = [str(row[0]) for row in await market.owner.fetch("SELECT id FROM escrow.reviews ORDER BY id DESC")]
    path, found, cursor = f"profile/{seller.wallet}/reviews", list[str](), dict[str, str]()
    for _ in range(3):
        page = (await market.stranger().get(path, limit=3, **cursor)).body
        found += [item["id"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert (found, page["next_cursor"]) == (wanted, None)


async def test_who_was_never_here_has_no_page_and_who_was_never_reviewed_has_an_empty_one(
    market: Market, buyer: Caller
) -> None:
    assert (await buyer.get(f"profile/{buyer.wallet}/reviews")).body == {"items": [], "next_cursor": None}
    refused(await buyer.get(f"profile/{market.stranger().wallet}/reviews"), 404, "no-such-profile")


async def test_what_is_sent_twice_with_one_key_is_answered_twice(
    market: Market, product: dict[str, Any], buyer: Caller
) -> None:
    path = f"orders/{await market.order(product, buyer, status='completed')}/reviews"
    answers = [await buyer.call("POST", path, key="r", json={"rating": 5}) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].body == answers[1].body
