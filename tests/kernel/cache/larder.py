"""Goods in PostgreSQL that are slow to look up and tell how often they were, and a cache over them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import asyncpg
import msgspec

from entrepot.kernel.cache.busts import forget
from entrepot.kernel.cache.cache import Cache
from entrepot.kernel.cache.kind import Cached
from entrepot.kernel.db.causal import Progress
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.settings import Settings

GOODS = """
    CREATE TABLE public.goods (thing int PRIMARY KEY, version bigint NOT NULL DEFAULT 0);
    CREATE TABLE public.lookups (thing int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
    INSERT INTO public.goods SELECT * FROM generate_series(0, 99);
    GRANT SELECT, UPDATE ON public.goods TO PUBLIC;
    GRANT SELECT, INSERT ON public.lookups TO PUBLIC;
    CREATE FUNCTION public.look_up(wanted int, slowness float8) RETURNS json VOLATILE LANGUAGE plpgsql AS $$
    DECLARE found bigint;
    BEGIN
        INSERT INTO public.lookups (thing) VALUES (wanted);
        SELECT version INTO found FROM public.goods WHERE thing = wanted;
        PERFORM pg_sleep(slowness);
        RETURN to_json(found);
    END $$
"""
LOOK_UP = Query("SELECT public.look_up(:thing, :slowness)")
RAISE = Query("UPDATE public.goods SET version = version + 1 WHERE thing = :thing RETURNING version")


class Look(msgspec.Struct, frozen=True):
    """The version of one thing."""

    thing: int


def goods(ttl: float) -> Cached:
    """Versions that may be kept for so many seconds."""
    return Cached(name="test.goods", ttl=timedelta(seconds=ttl), about="thing")


class Larder:
    """One cache over the goods."""

    def __init__(self, database: Database, cache: Cache, kind: Cached) -> None:
        self.database, self.cache, self.kind = database, cache, kind

    async def look(self, thing: int, slowness: float = 0.0) -> int:
        """The version, as a reader is told it."""
        told = await self.cache.answer(self.kind, Look(thing), partial(self._look_up, thing, slowness))
        assert told is not None, "only a caller with a bookmark is sent away"
        return int(told.body)

    async def _look_up(self, thing: int, slowness: float, progress: Progress) -> bytes:
        progress.uses_primary = True
        async with self.database.read() as db:
            found = await db.json(LOOK_UP, thing=thing, slowness=slowness)
        assert found is not None
        return found

    async def write(self, thing: int) -> int:
        """A new version, which caches are told of."""
        async with self.database.write() as db:
            version: int = await db.value(RAISE, thing=thing)
            await forget(db, self.kind, [thing])
        return version


@asynccontextmanager
async def larder(settings: Settings, ttl: float) -> AsyncIterator[Larder]:
    """A cache that has begun to follow the outbox."""
    kind = goods(ttl)
    async with Database(settings.database_url, settings) as database, Cache(database, settings, [kind]) as cache:
        made = Larder(database, cache, kind)
        await made.look(99)
        await until(lambda: cache.follower.moment is not None)
        yield made


async def lookups(owner: asyncpg.Connection, thing: int) -> int:
    """How often the database was asked."""
    found: int = await owner.fetchval("SELECT count(*) FROM public.lookups WHERE thing = $1", thing)
    return found


async def until(is_so: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0) -> None:
    """Waits until something is the case."""
    async with asyncio.timeout(seconds):
        while True:
            found = is_so()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)
