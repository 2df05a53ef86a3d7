"""The pool and what comes out of it: connections whose state nobody leaves behind, as `Read` or `Write`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.settings import Settings

IDLE_BEFORE_PING = 1.0
GONE = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)


async def prepare(connection: asyncpg.Connection) -> None:
    """Lets JSON made by PostgreSQL through as the bytes it is."""
    await connection.set_type_codec("json", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes)


async def _leave_as_is(_connection: asyncpg.Connection) -> None:
    """Nothing leaves session state behind, so a release needs no round trip to reset any."""


class Database:
    """One asyncpg pool with two doors.

    `pool_size` connections are kept, `pool_overflow` more are opened under load and closed when idle; a caller waits
    at most `pool_timeout` seconds and is then refused with `Unavailable`; no connection outlives `pool_recycle`; one
    that lay idle is tried before it is handed out.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.settings = settings
        self.places = asyncio.Semaphore(settings.pool_size + settings.pool_overflow)
        self._pool: asyncpg.Pool | None = None
        self._last_used: dict[int, float] = {}
        self._recycler: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        settings = self.settings
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=1,
            max_size=settings.pool_size + settings.pool_overflow,
            max_inactive_connection_lifetime=300.0,
            max_queries=2**62,
            statement_cache_size=settings.statement_cache,
            init=prepare,
            reset=_leave_as_is,
            command_timeout=None,
        )
        self._recycler = asyncio.create_task(self._recycle())
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._recycler is not None:
            self._recycler.cancel()
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), timeout=10)
            except TimeoutError:
                self._pool.terminate()

    @property
    def pool(self) -> asyncpg.Pool:
        """The pool behind the doors; there from `async with` on."""
        if self._pool is None:
            raise RuntimeError("the database is not open")
        return self._pool

    async def _recycle(self) -> None:
        while True:
            await asyncio.sleep(self.settings.pool_recycle)
            await self.pool.expire_connections()

    async def _take(self) -> PoolConnectionProxy:
        """A connection that answers; one that lay idle and died is replaced, however many are dead."""
        now = asyncio.get_running_loop().time
        while True:
            connection = await self.pool.acquire()
            idle_since = self._last_used.get(id(connection._con))  # noqa: SLF001 - the proxy is new at each acquire
            if not self.settings.pool_pre_ping or idle_since is None or now() - idle_since < IDLE_BEFORE_PING:
                return connection
            try:
                await connection.execute("")
            except GONE:
                self._last_used.pop(id(connection._con), None)  # noqa: SLF001
                await self.pool.release(connection)
                continue
            return connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PoolConnectionProxy]:
        """A connection of the pool; raises `Unavailable` when none is free in time or the server is away."""
        try:
            if self.places.locked():
                async with asyncio.timeout(self.settings.pool_timeout):
                    await self.places.acquire()
            else:
                await self.places.acquire()
        except TimeoutError:
            raise Unavailable(part="database") from None
        try:
            try:
                connection = await self._take()
            except GONE as error:
                raise Unavailable(part="database") from error
            try:
                yield connection
            finally:
                self._last_used[id(connection._con)] = asyncio.get_running_loop().time()  # noqa: SLF001
                await self.pool.release(connection)
        finally:
            self.places.release()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Read]:
        """A door that may only query."""
        async with self.connection() as connection:
            yield Read(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Write]:
        """A door that is one transaction: committed when the block ends, rolled back when it raises."""
        async with self.connection() as connection, connection.transaction():
            yield Write(connection)
