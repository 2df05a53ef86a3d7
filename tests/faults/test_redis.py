"""Redis killed, frozen and started again under load: readers notice nothing, and the database little."""

import asyncio
import random
from dataclasses import dataclass, field
from time import monotonic

import asyncpg
import pytest

from entrepot.kernel.settings import Settings
from tests.conftest import TestDatabase, settings_for
from tests.kernel.cache.conftest import redis, with_redis
from tests.kernel.cache.larder import GOODS, Larder, larder
from tests.kernel.cache.redis_server import RedisServer

__all__ = ["redis"]
THINGS, READERS, LOADS = 80, 40, 3
TTL = 1.0
ACTIVE = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%look_up%' AND pid <> $1"


@dataclass
class Crowd:
    """Readers of two caches, and what they met with."""

    shops: list[Larder]
    errors: list[Exception] = field(default_factory=list)
    slowest: float = 0.0
    reads: int = 0

    async def read(self) -> None:
        """Reads at random until cancelled. Each look-up keeps the database busy for some milliseconds."""
        while True:
            began = monotonic()
            try:
                await random.choice(self.shops).look(random.randrange(THINGS), slowness=0.005)
            except Exception as error:  # noqa: BLE001 - it is what the test looks for
                self.errors.append(error)
            self.slowest = max(self.slowest, monotonic() - began)
            self.reads += 1
            await asyncio.sleep(random.uniform(0, 0.02))

    def far_hits(self) -> int:
        """How many answers came from Redis."""
        return sum(shop.cache.counts.far_hits for shop in self.shops)

    async def hits_again(self) -> None:
        """Waits until Redis answers readers."""
        before = self.far_hits()
        async with asyncio.timeout(15):
            while self.far_hits() < before + 20:
                await asyncio.sleep(0.02)


@pytest.fixture
async def settings(database: TestDatabase, owner: asyncpg.Connection) -> Settings:
    """Settings on a database with goods in it, with few loads at a time."""
    await owner.execute(GOODS)
    return settings_for(database, cache_bytes=10_000_000, cache_loads=LOADS, pool_size=8)


async def test_readers_notice_nothing_of_a_redis_that_comes_and_goes(
    settings: Settings, redis: RedisServer, owner: asyncpg.Connection
) -> None:
    told = with_redis(settings, redis.url, timeout=0.05)
    async with larder(told, TTL) as one, larder(told, TTL) as two:
        crowd, most = Crowd([one, two]), [0]
        tasks = [asyncio.create_task(work) for work in (watch(owner, most), *(crowd.read() for _ in range(READERS)))]
        await crowd.hits_again()
        await redis.kill()
        await asyncio.sleep(2.5)
        without = crowd.far_hits()
        await asyncio.sleep(0.5)
        assert crowd.far_hits() == without
        await redis.start()
        await crowd.hits_again()
        redis.freeze()
        await asyncio.sleep(2.5)
        redis.thaw()
        await crowd.hits_again()
        while tasks:  # Python 3.11's wait_for, which the Redis client uses, may lose a cancellation
            for task in tasks:
                task.cancel()
            tasks = list((await asyncio.wait(tasks, timeout=1))[1])
    assert not crowd.errors
    assert crowd.reads > 1000
    assert crowd.slowest < 3, "somebody waited for Redis"
    assert 0 < most[0] <= 2 * LOADS, f"{most[0]} look-ups ran at once"


async def watch(owner: asyncpg.Connection, most: list[int]) -> None:
    """Notes how many look-ups run at once."""
    while True:
        most[0] = max(most[0], await owner.fetchval(ACTIVE, owner.get_server_pid()))
        await asyncio.sleep(0.002)


async def test_a_server_whose_redis_is_absent_from_the_start_serves(settings: Settings) -> None:
    async with larder(with_redis(settings, "redis://127.0.0.1:1/0", timeout=0.05), TTL) as shop:
        assert await asyncio.gather(*(shop.look(thing) for thing in range(50))) == [0] * 50
        assert shop.cache.counts.redis_failures > 0
        assert await shop.write(7) == await shop.look(7) == 1
