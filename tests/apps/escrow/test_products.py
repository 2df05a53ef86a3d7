"""Listings, from the first day to the last."""

import asyncio

import pytest

from tests.apps.escrow.conftest import LISTING, Caller, Market
from tests.callers import refused


async def test_what_a_seller_lists_everyone_can_see(market: Market, seller: Caller) -> None:
    made = await seller.post("products", **LISTING)
    assert made.status == 201
    assert made.body.items() >= {**LISTING, "price_usdt": "25.000000", "status": "active", "total_sold": 0}.items()
    shown = await market.stranger().get(f"products/{made.body['id']}")
    assert shown.status == 200
    assert shown.body.items() >= made.body.items()
    assert shown.body["seller"]["wallet"] == seller.wallet
    assert shown.body["seller"]["public_key"] == seller.key


async def test_an_edit_changes_what_it_names_and_nothing_else(seller: Caller) -> None:
    listed = await seller.lists()
    changes = {"title_preview": "Monthly index", "category": "tools", "price_usdt": "30.500000", "stock": 9}
    edited = await seller.patch(f"products/{listed['id']}", **changes)
    assert edited.status == 200
    assert edited.body == {**listed, **changes, "updated_at": edited.body["updated_at"]}
    assert edited.body["updated_at"] > listed["updated_at"]


async def test_a_listing_is_paused_and_resumed(market: Market, seller: Caller) -> None:
    path = f"products/{(await seller.lists())['id']}"
    assert (await seller.patch(path, status="paused")).body["status"] == "paused"
    assert (await seller.get("products")).body["items"] == []
    assert (await market.stranger().get(path)).body["status"] == "paused"
    assert (await seller.patch(path, status="active")).body["status"] == "active"
    assert len((await seller.get("products")).body["items"]) == 1


async def test_a_move_that_the_state_does_not_take_is_refused_naming_both_states(seller: Caller) -> None:
    path = f"products/{(await seller.lists())['id']}"
    refused(await seller.patch(path, status="active"), 409, "wrong-state", state="active", expected="paused")
    await seller.patch(path, stock=0)
    refused(await seller.patch(path, status="paused"), 409, "wrong-state", state="sold_out", expected="active")
    refused(await seller.patch(path, status="active"), 409, "wrong-state", state="sold_out", expected="paused")


async def test_without_stock_it_is_sold_out_and_with_new_stock_active_again(seller: Caller) -> None:
    path = f"products/{(await seller.lists())['id']}"
    assert (await seller.patch(path, stock=0)).body["status"] == "sold_out"
    assert (await seller.patch(path, stock=2)).body["status"] == "active"


async def test_stock_moves_no_paused_listing_but_one_that_resumes_without_any_is_sold_out(seller: Caller) -> None:
    path = f"products/{(await seller.lists())['id']}"
    await seller.patch(path, status="paused")
    assert (await seller.patch(path, stock=0)).body["status"] == "paused"
    assert (await seller.patch(path, status="active")).body["status"] == "sold_out"


async def test_a_deleted_listing_is_gone_for_all_but_its_row_stays(market: Market, seller: Caller) -> None:
    listed = await seller.lists()
    path = f"products/{listed['id']}"
    assert (await seller.call("DELETE", path)).status == 204
    assert (await seller.get("products")).body["items"] == []
    refused(await seller.get(path), 404, "no-such-product")
    refused(await seller.patch(path, stock=1), 404, "no-such-product")
    refused(await seller.call("DELETE", path), 404, "no-such-product")
    row = await market.owner.fetchrow("SELECT status, deleted_at IS NOT NULL AS gone FROM escrow.products")
    assert tuple(row) == ("deleted", True)


async def test_another_one_s_listing_cannot_be_changed(market: Market, seller: Caller, buyer: Caller) -> None:
    path = f"products/{(await seller.lists())['id']}"
    before = await market.snapshot()
    refused(await buyer.patch(path, stock=1), 404, "no-such-product")
    refused(await buyer.call("DELETE", path), 404, "no-such-product")
    assert (await market.stranger().patch(path, stock=1)).status == 401
    assert await market.snapshot() == before


async def test_a_blacklisted_seller_s_listings_are_hidden_everywhere(market: Market, seller: Caller) -> None:
    listed = await seller.lists()
    await market.ban(seller.wallet)
    for query in ({}, {"q": "index"}, {"seller": seller.wallet}, {"category": "data"}, {"sort": "price"}):
        assert (await market.stranger().get("products", **query)).body["items"] == []
    refused(await market.stranger().get(f"products/{listed['id']}"), 404, "no-such-product")
    refused(await seller.post("products", **LISTING), 403, "wallet-blacklisted")
    refused(await seller.patch(f"products/{listed['id']}", stock=1), 403, "wallet-blacklisted")


async def test_an_edit_and_a_deletion_at_once_leave_no_listing_that_lives(market: Market, seller: Caller) -> None:
    for _ in range(5):
        path = f"products/{(await seller.lists())['id']}"
        edits = [seller.patch(path, status="paused"), seller.patch(path, stock=0), seller.call("DELETE", path)]
        statuses = [answer.status for answer in await asyncio.gather(*edits)]
        assert statuses[2] == 204
        assert set(statuses) <= {200, 204, 404, 409}
    assert await market.owner.fetchval("SELECT count(*) FROM escrow.products WHERE status <> 'deleted'") == 0


async def test_a_repeated_command_lists_once(market: Market, seller: Caller) -> None:
    first = await seller.call("POST", "products", key="one", json=LISTING)
    again = await seller.call("POST", "products", key="one", json=LISTING)
    assert (again.status, again.body) == (201, first.body)
    assert await market.owner.fetchval("SELECT count(*) FROM escrow.products") == 1
    refused(await seller.call("POST", "products", key="one", json={**LISTING, "stock": 4}), 409, "key-reused")


@pytest.mark.parametrize("words", ["\x00", "a\x1bb", " ", "x\ny", "\u202etxt", "x" * 101, "", 7, None])
async def test_a_title_is_one_line_that_can_be_read(seller: Caller, words: object) -> None:
    answer = await seller.post("products", **{**LISTING, "title_preview": words})
    assert (answer.status, answer.body["field"]) == (422, "title_preview")
