"""Lists, profiles and arbitrators are kept for a while, and whoever writes what they show has them forgotten."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from entrepot.apps.escrow.operations.arbitrators import list_arbitrators
from entrepot.apps.escrow.operations.pool import settle as settle_arbitrators
from entrepot.apps.escrow.operations.reputation import rebuild
from entrepot.kernel.cache.kind import Cached
from entrepot.kernel.db.database import Database
from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.http.limits import Limit
from entrepot.kernel.http.route import BadRoute, Pace, Who, get
from entrepot.kernel.settings import Settings
from tests.apps.escrow.conftest import Caller, Market, opened_market
from tests.conftest import TestDatabase, settings_for

BYTES = 10_000_000


@pytest.fixture
async def market(database: TestDatabase) -> AsyncIterator[Market]:
    """A market that keeps answers."""
    async with opened_market(database, cache_bytes=BYTES) as made:
        # What is answered before the outbox is followed is not kept.
        await made.stranger().get("products")
        await asyncio.sleep(0.5)
        yield made


async def titles(caller: Caller) -> list[str]:
    return [item["title_preview"] for item in (await caller.get("products")).body["items"]]


async def test_a_list_that_is_kept_shows_what_its_seller_does_at_once(market: Market, seller: Caller) -> None:
    reader = market.stranger()
    assert await titles(reader) == []
    listed = await seller.lists(title_preview="One")
    assert await titles(reader) == ["One"]
    await seller.patch(f"products/{listed['id']}", title_preview="Other")
    assert await titles(reader) == ["Other"]
    await seller.call("DELETE", f"products/{listed['id']}")
    assert await titles(reader) == []


async def test_what_nobody_tells_of_is_kept_for_its_time(market: Market, seller: Caller) -> None:
    reader = market.stranger()
    await seller.lists(title_preview="One")
    assert await titles(reader) == ["One"]
    await market.owner.execute("UPDATE escrow.products SET title_preview = 'Behind its back'")
    assert await titles(reader) == ["One"]
    assert (await reader.get("products", limit="19")).body["items"][0]["title_preview"] == "Behind its back"


async def test_a_profile_that_is_kept_shows_a_new_name_at_once_in_lists_too(market: Market, seller: Caller) -> None:
    reader, path = market.stranger(), f"profile/{seller.wallet}"
    await seller.lists()
    await reader.get("products")
    assert (await reader.get(path)).body["display_name"] is None
    await seller.patch("profile", display_name="Danube Data")
    assert (await reader.get(path)).body["display_name"] == "Danube Data"
    assert (await reader.get("products")).body["items"][0]["seller_display_name"] == "Danube Data"


async def test_a_ban_hides_what_is_kept(database: TestDatabase, seller: Caller, market: Market) -> None:
    async with opened_market(database, cache_bytes=BYTES, operators=(seller.wallet,)) as office:
        operator = Caller(office.http, seller.account, seller.key, seller.token)
        other = await office.member()
        await other.lists(title_preview="Bad")
        assert await titles(operator) == ["Bad"]
        assert (await operator.post("admin/blacklist", wallet=other.wallet, reason="fraud")).status == 201
        assert await titles(operator) == []


async def test_another_process_hears_of_it(database: TestDatabase, market: Market, seller: Caller) -> None:
    async with opened_market(database, cache_bytes=BYTES) as other:
        reader = other.stranger()
        await titles(reader)
        await asyncio.sleep(0.5)
        for number in range(5):
            await titles(reader)
            await seller.lists(title_preview=f"Number {number}")
            async with asyncio.timeout(3):
                while len(await titles(reader)) <= number:
                    await asyncio.sleep(0.005)


async def test_a_trade_that_counts_and_a_stake_that_moves_are_seen(
    database: TestDatabase, market: Market, seller: Caller, owner: asyncpg.Connection
) -> None:
    reader, path = market.stranger(), f"profile/{seller.wallet}"
    buyer = await market.member()
    await market.order(await seller.lists(), buyer, status="completed")
    await owner.execute(
        "INSERT INTO escrow.pool_members (chain, wallet, stake_token, stake_amount, pledged, reputation, assigned,"
        " total_resolved, is_active, registered_at, updated_at)"
        " VALUES ('ethereum', $1, $1, 500, 500, 100, 0, 0, true, now(), now())",
        seller.wallet,
    )
    assert (await reader.get(path)).body["total_trades"] == 0
    assert (await reader.get("arbitrators")).body["items"] == []
    async with Database(database.url, settings_for(database)) as worker, worker.write() as db:
        await rebuild(db, [seller.wallet])
        await settle_arbitrators(db, [seller.wallet])
    async with asyncio.timeout(3):
        while (await reader.get(path)).body["total_trades"] == 0:
            await asyncio.sleep(0.01)
        while not (await reader.get("arbitrators")).body["items"]:
            await asyncio.sleep(0.01)


async def test_equal_questions_are_one_and_others_are_others(market: Market, seller: Caller) -> None:
    await seller.lists(title_preview="One", category="data")
    await seller.lists(title_preview="Two", category="tools")
    reader = market.stranger()
    for _ in range(2):
        assert [len((await reader.get("products", category=kind)).body["items"]) for kind in ("data", "tools")] == [
            1,
            1,
        ]
        assert len((await reader.get("products", limit="1")).body["items"]) == 1
        assert len(await titles(reader)) == 2


async def test_a_missing_profile_is_seen_as_soon_as_it_is_there(market: Market) -> None:
    caller = market.stranger()
    assert (await market.stranger().get(f"profile/{caller.wallet}")).status == 404
    await caller.sign_in(caller.key)
    assert (await market.stranger().get(f"profile/{caller.wallet}")).status == 200


async def test_a_route_cannot_keep_what_no_app_declares(database: TestDatabase) -> None:
    settings = settings_for(database)
    kind = Cached(name="escrow.nobody", ttl=timedelta(seconds=1))
    route = get("/arbitrators", list_arbitrators, who=Who.ANYONE, cached=kind)
    with pytest.raises(BadRoute, match="no app declares"):
        Endpoint(route, "", Database(database.url, settings), {Pace.READ: Limit(1)}, {Settings: settings})
