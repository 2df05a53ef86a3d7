"""What a reader of kept answers notices: one query for many, fresh answers after writes, and none that is too old."""

import asyncio
from time import monotonic

import asyncpg
import pytest

from entrepot.kernel.cache.busts import forget
from entrepot.kernel.db.causal import Progress
from entrepot.kernel.db.query import Query
from entrepot.kernel.refusal import NotFound
from entrepot.kernel.settings import Settings
from tests.kernel.cache.larder import RAISE, Larder, Look, larder, lookups, until


async def test_a_thousand_readers_of_one_thing_make_one_query(settings: Settings, owner: asyncpg.Connection) -> None:
    async with larder(settings, ttl=30) as shop:
        told = await asyncio.gather(*(shop.look(1, slowness=0.1) for _ in range(1000)))
    assert set(told) == {0}
    assert await lookups(owner, 1) == 1


async def test_a_thousand_readers_of_a_thing_that_is_about_to_expire_wait_for_nobody(
    settings: Settings, owner: asyncpg.Connection
) -> None:
    async with larder(settings, ttl=6) as shop:
        await shop.look(1)
        await asyncio.sleep(5.42)
        began = monotonic()
        await asyncio.gather(*(shop.look(1, slowness=1.5) for _ in range(1000)))
        assert monotonic() - began < 1, "they waited for the renewal"
        await asyncio.sleep(1.7)
        await asyncio.gather(*(shop.look(1) for _ in range(1000)))
        assert await lookups(owner, 1) == 2


async def test_who_writes_is_told_of_it_at_once_and_others_soon(settings: Settings) -> None:
    async with larder(settings, ttl=30) as shop, larder(settings, ttl=30) as other:
        for version in range(1, 20):
            await shop.look(1)
            await other.look(1)
            assert await shop.write(1) == version
            assert await shop.look(1) == version
        await until(lambda: _tells(other, 19), seconds=2)


async def _tells(shop: Larder, version: int) -> bool:
    return await shop.look(1) == version


async def test_a_write_forgets_its_own_thing_and_no_other(settings: Settings, owner: asyncpg.Connection) -> None:
    async with larder(settings, ttl=30) as shop:
        await shop.look(1)
        await shop.look(2)
        await shop.write(1)
        await shop.look(1)
        await shop.look(2)
    assert (await lookups(owner, 1), await lookups(owner, 2)) == (2, 1)


async def test_forgetting_a_kind_forgets_all_of_it(settings: Settings, owner: asyncpg.Connection) -> None:
    async with larder(settings, ttl=30) as shop:
        await shop.look(1)
        async with shop.database.write() as db:
            await forget(db, shop.kind)
        await shop.look(1)
    assert await lookups(owner, 1) == 2


async def test_what_is_rolled_back_forgets_nothing(settings: Settings, owner: asyncpg.Connection) -> None:
    async with larder(settings, ttl=30) as shop:
        await shop.look(1)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await _forget_and_fail(shop)
        await asyncio.sleep(0.05)
        await shop.look(1)
    assert await lookups(owner, 1) == 1


async def _forget_and_fail(shop: Larder) -> None:
    async with shop.database.write() as db:
        await forget(db, shop.kind)
        await db.value(Query("SELECT 1 / 0"))


async def test_a_reader_who_comes_after_a_write_is_not_served_by_a_load_from_before_it(settings: Settings) -> None:
    async with larder(settings, ttl=30) as shop:
        slow = asyncio.create_task(shop.look(1, slowness=0.3))
        await asyncio.sleep(0.1)
        await shop.write(1)
        assert await shop.look(1) == 1
        assert await slow == 0, "it began before the write, and may say so"
        assert await shop.look(1) == 1, "what it was told must not be kept"


async def test_a_write_that_nobody_is_told_of_is_seen_when_the_time_is_over(settings: Settings) -> None:
    async with larder(settings, ttl=0.5) as shop:
        await shop.look(1)
        async with shop.database.write() as db:
            await db.value(RAISE, thing=1)
        written = monotonic()
        while await shop.look(1) == 0:
            assert monotonic() - written < 0.5 + 0.2
            await asyncio.sleep(0.01)


async def test_a_reader_who_goes_away_takes_nobody_along(settings: Settings, owner: asyncpg.Connection) -> None:
    async with larder(settings, ttl=30) as shop:
        first = asyncio.create_task(shop.look(1, slowness=0.3))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(shop.look(1, slowness=0.1)) for _ in range(50)]
        await asyncio.sleep(0.05)
        first.cancel()
        assert set(await asyncio.gather(*others)) == {0}
        with pytest.raises(asyncio.CancelledError):
            await first
    assert await lookups(owner, 1) <= 2


async def test_a_refusal_is_told_to_everybody_and_not_kept(settings: Settings) -> None:
    tries = 0

    async def refuse(_progress: Progress) -> bytes:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.05)
        raise NotFound

    async with larder(settings, ttl=30) as shop:
        told = await asyncio.gather(
            *(shop.cache.answer(shop.kind, Look(1), refuse) for _ in range(100)), return_exceptions=True
        )
        assert all(isinstance(each, NotFound) for each in told)
        assert tries == 1
        assert await shop.look(1) == 0


async def test_the_process_keeps_no_more_than_it_may(settings: Settings, owner: asyncpg.Connection) -> None:
    async with larder(settings, ttl=30) as shop:
        shop.cache.near.most = 10 * 650
        for thing in range(50):
            await shop.look(thing)
        assert 5 <= len(shop.cache.near) <= 10
        assert shop.cache.near.bytes <= shop.cache.near.most
        await shop.look(49)
        await shop.look(0)
    assert (await lookups(owner, 49), await lookups(owner, 0)) == (1, 2)
