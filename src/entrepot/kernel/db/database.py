"""The pool and what comes out of it: connections whose state nobody leaves behind, as `Read` or `Write`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from entrepot.kernel.db.doors import AnyConnection, Read, Write
from entrepot.kernel.refusal import CommitUnknown, Unavailable
from entrepot.kernel.settings import Settings

IDLE_BEFORE_PING = 1.0
PING_PATIENCE = 5.0
IDLE_BEFORE_CLOSE = 300.0
LOST = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
"""A connection ended under the statement that it was to run."""
GONE = (*LOST, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError, OSError)
"""No connection can be had, for now."""


async def prepare(connection: AnyConnection) -> None:
    """Lets JSON made by PostgreSQL through as the bytes it is."""
    await connection.set_type_codec("json", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes)


async def _leave_as_is(_connection: AnyConnection) -> None:
    """Nothing leaves session state behind, so a release needs no round trip to reset any."""


class Database:
    """One asyncpg pool with two doors.

    `pool_size` and `pool_overflow` together are the most connections there are; they are opened as load asks for them
    and closed after five idle minutes. A caller waits at most `pool_timeout` seconds and is then refused with
    `Unavailable`; no connection outlives `pool_recycle`; one that lay idle is tried before it is handed out.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.settings = settings
        self.places = asyncio.Semaphore(settings.pool_size + settings.pool_overflow)
        self._pool: asyncpg.Pool | None = None
        self._idle_since: dict[int, float] = {}
        self._recycler: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        settings = self.settings
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=1,
            max_size=settings.pool_size + settings.pool_overflow,
            max_inactive_connection_lifetime=IDLE_BEFORE_CLOSE,
            max_queries=2**62,
            statement_cache_size=settings.statement_cache,
            timeout=settings.pool_timeout,
            init=self._begin,
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

    async def _begin(self, connection: AnyConnection) -> None:
        process = connection.get_server_pid()

        def forget(_ended: AnyConnection) -> None:
            self._idle_since.pop(process, None)

        connection.add_termination_listener(forget)
        await prepare(connection)

    async def _take(self) -> PoolConnectionProxy:
        """A connection that answers; one that lay idle and died is replaced, however many are dead."""
        while True:
            connection = await self.pool.acquire()
            idle_since = self._idle_since.get(connection.get_server_pid())
            if idle_since is None or asyncio.get_running_loop().time() - idle_since < IDLE_BEFORE_PING:
                return connection
            if not self.settings.pool_pre_ping or await _answers(connection):
                return connection
            await self.pool.release(connection)

    async def _place(self) -> None:
        if not self.places.locked():
            await self.places.acquire()
            return
        try:
            async with asyncio.timeout(self.settings.pool_timeout):
                await self.places.acquire()
        except TimeoutError:
            raise Unavailable(part="database") from None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PoolConnectionProxy]:
        """A connection of the pool; raises `Unavailable` when none is free in time or the server is away.

        One that ends while it is in use raises one of `LOST`.
        """
        await self._place()
        try:
            try:
                connection = await self._take()
            except GONE as error:
                raise Unavailable(part="database") from error
            process = connection.get_server_pid()
            try:
                yield connection
            except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
                if not _is_why(connection, error):
                    raise
                raise asyncpg.ConnectionDoesNotExistError(str(error)) from error
            finally:
                if not _has_ended(connection):
                    self._idle_since[process] = asyncio.get_running_loop().time()
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
        """A door that is one transaction: committed when the block ends, rolled back when it raises.

        Where it raises one of `LOST`, nothing has happened; a connection that is lost while it commits raises
        `CommitUnknown`.
        """
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield Write(connection)
            except BaseException:
                if not _has_ended(connection):
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except LOST as error:
                raise CommitUnknown(part="database") from error


def _has_ended(connection: PoolConnectionProxy) -> bool:
    """Whether it is closed; the pool takes the proxy of a lost connection back at once, so it cannot even be asked."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def _is_why(connection: PoolConnectionProxy, error: Exception) -> bool:
    """Whether the error only means that the connection was lost, which is ended then.

    A server's last word that came while nothing was asked leaves asyncpg in a state that is neither idle nor closed.
    """
    if type(error) is asyncpg.InternalClientError and not _has_ended(connection):
        connection.terminate()
    return _has_ended(connection)


async def _answers(connection: PoolConnectionProxy) -> bool:
    """Whether there still is a server at the other end; where not, the connection is ended."""
    try:
        await connection.execute("SELECT 1", timeout=PING_PATIENCE)
    except (*GONE, asyncpg.InterfaceError, asyncpg.InternalClientError):
        if not _has_ended(connection):
            connection.terminate()
        return False
    return True
