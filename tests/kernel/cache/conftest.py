"""Goods in a database, and a Redis."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from entrepot.kernel.settings import Settings
from tests.conftest import TestDatabase, settings_for
from tests.kernel.cache.larder import GOODS
from tests.kernel.cache.redis_server import RedisServer


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of this test's own; skips where redis-server is absent."""
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def settings(database: TestDatabase, owner: asyncpg.Connection) -> Settings:
    """Settings on a database with goods in it."""
    await owner.execute(GOODS)
    return settings_for(database, cache_bytes=10_000_000)


@pytest.fixture
def shared(settings: Settings, redis: RedisServer) -> Settings:
    """The same with Redis. A machine that runs tests is slow at times, and Redis is not to be given up for that."""
    return with_redis(settings, redis.url)


def with_redis(settings: Settings, url: str, timeout: float = 1.0) -> Settings:
    """These settings with a Redis."""
    given = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return Settings(**{**given, "redis_url": url, "redis_timeout": timeout})
