"""Connections to one PostgreSQL: kept, lent to one caller at a time, tried when they lay idle, ended in time.

asyncpg's own pool has neither overflow nor recycling nor a trial, and each release costs it a task and a proxy: a
third of what a lookup costs altogether (docs/decisions/0003-pool-and-doors.md).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

import asyncpg

from entrepot.kernel.db.usage import Usage
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.settings import Settings
from entrepot.kernel.tracing import connection_class

IDLE_BEFORE_PING = 1.0
PING_PATIENCE = 5.0
IDLE_BEFORE_CLOSE = 300.0
CLOSE_PATIENCE = 5.0
LOST = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
"""A connection ended under the statement that it was to run."""
ENDED = (asyncpg.InterfaceError, asyncpg.InternalClientError, AttributeError)
"""asyncpg's other words for that, of a connection that is closed; the last comes between preparing and running."""
GONE = (
    *LOST,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.TargetServerAttributeNotMatched,
    OSError,
)
"""No connection can be had, for now; of several hosts that the address names, none is the primary."""


async def prepare(connection: asyncpg.Connection) -> None:
    """Lets JSON made by PostgreSQL through as the bytes it is."""
    # In a transaction, because it asks, and behind a transaction pooler two servers might answer.
    async with connection.transaction():
        await connection.set_type_codec("json", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes)


class Held:
    """A connection of the pool. Times are the event loop's, in seconds."""

    __slots__ = ("born", "connection", "idle_since", "replayed")

    def __init__(self, connection: asyncpg.Connection, born: float) -> None:
        self.connection = connection
        self.born = born
        self.idle_since = born
        self.replayed = 0
        """Of a replica: how far in the log it was when this connection last asked."""


class Pool:
    """At most `pool_size` and `pool_overflow` connections together, opened as load asks for them.

    The one used last is lent first, so that what a peak opened falls idle and is closed after five minutes. Nothing
    leaves session state behind, so giving one back costs no round trip. One that `is_needed` must answer at once.
    """

    def __init__(self, url: str, settings: Settings, *, is_needed: bool = True) -> None:
        self.url = url
        self.is_needed = is_needed
        self.settings = settings
        self.places = asyncio.Semaphore(settings.pool_size + settings.pool_overflow)
        self.usage = Usage(settings.pool_size + settings.pool_overflow)
        self._idle: list[Held] = []
        self._all: set[asyncpg.Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._clock = asyncio.get_running_loop().time
        # One connection is made at once, so that a wrong address is known before the first request.
        if self.is_needed:
            self._idle.append(await self._connect())
        self._sweeper = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._idle.clear()
        await asyncio.gather(*self._closing, *(self._end(connection) for connection in list(self._all)))

    def drop(self) -> None:
        """Ends every connection at once, as its server is gone; whoever holds one is told by its next statement."""
        self._idle.clear()
        for connection in self._all:
            connection.terminate()
        self._all.clear()

    async def take(self) -> Held:
        """A connection that answers; raises `Unavailable` when none is free in time, and one of `GONE`."""
        if self.places.locked():
            try:
                with self.usage.wait():
                    async with asyncio.timeout(self.settings.pool_timeout):
                        await self.places.acquire()
            except TimeoutError:
                raise Unavailable(part="database") from None
        else:
            await self.places.acquire()
        self.usage.take()
        try:
            return await self._answering()
        except BaseException:
            self.usage.give()
            self.places.release()
            raise

    def give(self, held: Held, *, broken: bool) -> None:
        """Takes a connection back; a `broken` one is ended."""
        connection = held.connection
        if broken or connection.is_closed() or connection.is_in_transaction():
            self._terminate(connection)
        else:
            held.idle_since = self._clock()
            self._idle.append(held)
        self.usage.give()
        self.places.release()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for a block. One whose block does not end well is ended, as something may be under way on it."""
        held, broken = await self.take(), True
        try:
            yield held.connection
            broken = False
        finally:
            self.give(held, broken=broken)

    async def _answering(self) -> Held:
        """The idle connection that was used last and answers, or a new one, however many are dead."""
        while self._idle:
            held = self._idle.pop()
            now = self._clock()
            if held.connection.is_closed():
                self._all.discard(held.connection)
                continue
            if now - held.born > self.settings.pool_recycle:
                self._close(held)
                continue
            is_fresh = now - held.idle_since < IDLE_BEFORE_PING or not self.settings.pool_pre_ping
            if is_fresh or await self._passes_trial(held.connection):
                return held
        return await self._connect()

    async def _connect(self) -> Held:
        settings = self.settings
        connection = await asyncpg.connect(
            self.url,
            statement_cache_size=settings.statement_cache,
            timeout=settings.pool_timeout,
            connection_class=connection_class(),
        )
        self._all.add(connection)
        try:
            await prepare(connection)
        except BaseException:
            self._terminate(connection)
            raise
        return Held(connection, self._clock())

    async def _passes_trial(self, connection: asyncpg.Connection) -> bool:
        """Whether there still is a server at the other end; where that is not known, the connection is ended."""
        answers = False
        try:
            with suppress(*GONE, asyncpg.InterfaceError, asyncpg.InternalClientError):
                await connection.execute("SELECT 1", timeout=PING_PATIENCE)
                answers = True
        finally:
            if not answers:  # be it that whoever asked for it went away
                self._terminate(connection)
        return answers

    def _terminate(self, connection: asyncpg.Connection) -> None:
        """Ends a connection at once."""
        self._all.discard(connection)
        connection.terminate()

    def _close(self, held: Held) -> None:
        """Ends a connection politely, without making anyone wait for it."""
        task = asyncio.create_task(self._end(held.connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _end(self, connection: asyncpg.Connection) -> None:
        self._all.discard(connection)
        with suppress(*GONE, asyncpg.InterfaceError, asyncpg.InternalClientError):
            await connection.close(timeout=CLOSE_PATIENCE)

    async def _sweep(self) -> None:
        """Closes what has lain idle for long or has lived its time."""
        while True:
            await asyncio.sleep(min(self.settings.pool_recycle, IDLE_BEFORE_CLOSE) / 4)
            now = self._clock()
            for held in list(self._idle):
                if now - held.idle_since > IDLE_BEFORE_CLOSE or now - held.born > self.settings.pool_recycle:
                    self._idle.remove(held)
                    self._close(held)
