"""The list of arbitrators: who may be drawn, newest first, page by page, for everyone."""

from datetime import timedelta
from typing import Any

from entrepot.apps.escrow.operations.pool import settle
from entrepot.kernel.clock import now
from entrepot.kernel.db.database import Database
from tests.apps.escrow.conftest import Market
from tests.conftest import TestDatabase, settings_for

ADD_ROW = """
    INSERT INTO escrow.arbitrators (wallet, stake_amount, stake_token, reputation, total_resolved, total_earned,
        is_active, registered_at)
    VALUES ($1, 600, $1, 52, 1, 1.25, $2, $3)
"""
ADD_MEMBER = """
    INSERT INTO escrow.pool_members (chain, wallet, stake_amount, pledged, stake_token, reputation, assigned,
        total_resolved, is_active, registered_at, updated_at)
    VALUES ($1, $2, $3::numeric, greatest($3::numeric, 500), $2, 52, 2, 1, $4, now(), now())
"""


async def joins(market: Market, days: int, *, is_active: bool = True) -> str:
    """Somebody who registered that many days ago, on two chains, and has left the second."""
    wallet = (await market.member()).wallet
    await market.owner.execute(ADD_ROW, wallet, is_active, now() - timedelta(days=days))
    await market.owner.execute(ADD_MEMBER, "ethereum", wallet, 600, is_active)
    await market.owner.execute(ADD_MEMBER, "bsc", wallet, 0, False)
    return wallet


async def test_of_several_pools_an_active_one_counts_though_more_is_staked_in_another(
    market: Market, database: TestDatabase
) -> None:
    wallet = (await market.member()).wallet
    await market.owner.execute(ADD_MEMBER, "ethereum", wallet, 900, False)
    await market.owner.execute(ADD_MEMBER, "bsc", wallet, 600, True)
    async with Database(database.url, settings_for(database)) as doors, doors.write() as db:
        await settle(db, [wallet])
    row = await market.owner.fetchrow("SELECT is_active, stake_amount, total_resolved FROM escrow.arbitrators")
    assert row is not None
    assert tuple(row) == (True, 600, 2)


async def listed(market: Market, **query: Any) -> tuple[list[str], str | None]:
    answer = await market.stranger().get("arbitrators", **query)
    assert answer.status == 200, answer.body
    return [item["wallet"] for item in answer.body["items"]], answer.body["next_cursor"]


async def test_everyone_sees_who_may_be_drawn_with_stake_reputation_and_counts(market: Market) -> None:
    wallet = await joins(market, 1)
    await joins(market, 2, is_active=False)
    (found,) = (await market.stranger().get("arbitrators")).body["items"]
    pools = found.pop("pools")
    assert found["registered_at"].endswith("Z")
    assert {name: found[name] for name in list(found)[:7]} == {
        "wallet": wallet,
        "stake_amount": "600.000000",
        "stake_token": wallet,
        "reputation": 52,
        "total_resolved": 1,
        "total_earned": "1.250000",
        "is_active": True,
    }
    (pool,) = pools
    assert (pool["chain"], pool["stake_amount"], pool["assigned"]) == ("ethereum", "600.000000", 2)


async def test_pages_follow_each_other_newest_first(market: Market) -> None:
    wallets = [await joins(market, days) for days in (1, 2, 3)]
    first, cursor = await listed(market, limit=2)
    assert first == wallets[:2]
    assert cursor is not None
    assert await listed(market, limit=2, cursor=cursor) == (wallets[2:], None)


async def test_a_cursor_that_is_none_is_refused(market: Market) -> None:
    for cursor in ("newest", "newest~2026-13-01T00:00:00.000000Z~0x" + "1" * 40, "oldest~1~2"):
        answer = await market.stranger().get("arbitrators", cursor=cursor)
        assert (answer.status, answer.body["field"]) == (422, "cursor")
