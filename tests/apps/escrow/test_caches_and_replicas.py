"""Answers that are kept may come from a replica; nobody misses an own write by it, or is shown an earlier moment."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from entrepot.dev.standby import Standby
from tests.apps.escrow.conftest import Caller, Market, opened_market
from tests.conftest import TestDatabase
from tests.kernel.cache.conftest import redis
from tests.kernel.cache.redis_server import RedisServer
from tests.kernel.followed import BOOKMARK, cluster, on, replica_of, standby

__all__ = ["cluster", "redis", "standby"]
PAUSE, RESUME = "SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()"
RENAME = "UPDATE escrow.user_profiles SET display_name = 'Behind its back'"


@pytest.fixture
async def markets(database: TestDatabase, standby: Standby, redis: RedisServer) -> AsyncIterator[list[Market]]:
    """Two servers that keep answers and share them, with a replica."""
    settings = {"cache_bytes": 10_000_000, "database_read_replica_url": replica_of(standby, database)}
    settings |= {"redis_url": redis.url, "redis_timeout": 1.0}
    async with opened_market(database, **settings) as one, opened_market(database, **settings) as two:
        for each in (one, two):
            # What is answered before the outbox is followed is not kept, nor does a replica serve before it was seen.
            await each.stranger().get("products")
        await asyncio.sleep(1)
        yield [one, two]
        await on(standby, RESUME)


@pytest.fixture
async def seller(markets: list[Market]) -> Caller:
    """Somebody with a name, which the replica has."""
    made = await markets[0].member()
    await made.patch("profile", display_name="Old")
    await asyncio.sleep(0.3)
    return made


async def name(caller: Caller, path: str, bookmark: str = "") -> tuple[Any, str]:
    """The name that a profile or a listing shows to who brings a bookmark, and what it is told to bring next time."""
    answer = await caller.call("GET", path, headers={BOOKMARK: bookmark} if bookmark else {})
    assert answer.status == 200
    return answer.body.get("seller", answer.body)["display_name"], answer.headers[BOOKMARK]


async def test_what_is_kept_was_loaded_from_the_replica(
    markets: list[Market], seller: Caller, standby: Standby
) -> None:
    reader, path = markets[1].stranger(), f"profile/{seller.wallet}"
    await on(standby, PAUSE)
    await markets[0].owner.execute(RENAME)
    found, bookmark = await name(reader, path)
    assert found == "Old", "the primary was asked"
    await on(standby, RESUME)
    assert await name(reader, path, bookmark) == ("Old", bookmark), "it was not kept"


async def test_who_renames_itself_sees_it_wherever_it_asks(
    markets: list[Market], seller: Caller, standby: Standby
) -> None:
    path, elsewhere = f"profile/{seller.wallet}", markets[1].stranger()
    for number in range(10):
        await name(elsewhere, path)
        renamed = await seller.patch("profile", display_name=f"Number {number}")
        found, _ = await name(elsewhere, path, renamed.headers[BOOKMARK])
        assert found == f"Number {number}"


async def test_a_replica_that_is_behind_brings_nothing_back_that_was_forgotten(
    markets: list[Market], seller: Caller, standby: Standby
) -> None:
    path = f"profile/{seller.wallet}"
    readers = [each.stranger() for each in markets]
    for each in readers:
        assert (await name(each, path))[0] == "Old"
    await on(standby, PAUSE)
    await seller.patch("profile", display_name="New")
    assert (await name(readers[0], path))[0] == "New", "its own server knows at once"
    async with asyncio.timeout(3):
        while (await name(readers[1], path))[0] != "New":
            await asyncio.sleep(0.01)
    await seller.patch("profile", display_name="Newer")
    await asyncio.sleep(1.2)
    assert [(await name(each, path))[0] for each in readers] == ["Newer", "Newer"]


async def test_who_was_shown_a_kept_answer_is_not_shown_less_by_the_replica(
    markets: list[Market], seller: Caller, standby: Standby
) -> None:
    listing = f"products/{(await seller.lists())['id']}"
    await asyncio.sleep(0.3)
    await on(standby, PAUSE)
    await seller.patch("profile", display_name="New")
    await asyncio.sleep(1.2)
    # Loaded, kept in the process, and kept in Redis.
    for reader in (markets[0].stranger(), markets[0].stranger(), markets[1].stranger()):
        found, bookmark = await name(reader, f"profile/{seller.wallet}")
        assert found == "New"
        assert (await name(reader, listing))[0] == "Old", "the replica does not answer"
        assert (await name(reader, listing, bookmark))[0] == "New"


async def test_a_profile_that_is_missing_was_seen_to_be(markets: list[Market], standby: Standby) -> None:
    newcomer, reader = markets[0].stranger(), markets[1].stranger()
    missing = await reader.get(f"profile/{newcomer.wallet}")
    assert missing.status == 404
    assert BOOKMARK in missing.headers
    signed = await newcomer.sign_in(newcomer.key)
    path, bookmark = f"profile/{newcomer.wallet}", signed.headers[BOOKMARK]
    await on(standby, PAUSE)
    assert (await reader.call("GET", path, headers={BOOKMARK: bookmark})).status == 200
