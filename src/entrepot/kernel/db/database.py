"""What comes out of the pool: a connection as `Read`, or as `Write`, which is one transaction."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

import asyncpg

from entrepot.kernel.db.bell import Bell
from entrepot.kernel.db.causal import Progress
from entrepot.kernel.db.doors import Fresh, Read, Write
from entrepot.kernel.db.pool import ENDED, GONE, LOST, Held, Pool
from entrepot.kernel.db.replicas import Replicas
from entrepot.kernel.refusal import CommitUnknown, Unavailable
from entrepot.kernel.settings import Settings

T = TypeVar("T")


class Database:
    """One pool with two doors. Raises `Unavailable` when no connection is free in time or the server is away.

    A connection that ends while it is in use raises one of `LOST`.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.settings = settings
        self.pool = Pool(url, settings)
        self.bell = Bell(self.pool)
        self.replicas = Replicas(settings, self.pool)
        self.heard_by: list[Callable[[Write], None]] = []
        """Called after each commit that published something, before whoever wrote hears of it."""

    async def __aenter__(self) -> Self:
        await self.pool.__aenter__()
        await self.replicas.__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.bell.close()
        await self.replicas.__aexit__(*failure)
        await self.pool.__aexit__(*failure)

    def read(self) -> AbstractAsyncContextManager[Fresh]:
        """A door that may only query, to the primary."""
        # Without named statements asyncpg prepares and executes in two messages, which a transaction pooler keeps
        # together only within a transaction.
        return _Reading(self.pool) if self.settings.statement_cache else self._reading_in_transaction()

    @asynccontextmanager
    async def _reading_in_transaction(self) -> AsyncIterator[Fresh]:
        async with _Loan(self.pool) as connection, connection.transaction(readonly=True):
            yield Fresh(connection)

    async def read_after(self, progress: Progress, work: Callable[[Read], Awaitable[T]]) -> T:
        """What `work` answers, from a replica that has all that its caller has seen, or else from the primary.

        Where a replica fails in the middle, `work` runs a second time, so it does nothing but read.
        """

        async def at_primary() -> T:
            async with self.read() as db:
                return await work(db)

        return await self.replicas.read(progress, work, at_primary)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Fresh]:
        """A door that may only query, and whose statements all see the database as the first of them found it."""
        async with _Loan(self.pool) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield Fresh(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Write]:
        """A door that is one transaction: committed when the block ends, rolled back when it raises.

        Where it raises one of `LOST`, nothing has happened; a connection that is lost while it commits raises
        `CommitUnknown`.
        """
        async with _Loan(self.pool) as connection:
            transaction = connection.transaction()
            await transaction.start()
            door = Write(connection)
            try:
                yield door
            except BaseException:
                if not connection.is_closed():
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except LOST as error:
                raise CommitUnknown(part="database") from error
        if door.announces:
            self.bell.ring()
            for hear in self.heard_by:
                hear(door)


class _Loan(AbstractAsyncContextManager[asyncpg.Connection]):
    """A connection for as long as a block runs. A class and not a generator, because every read pays for it."""

    __slots__ = ("held", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.held: Held | None = None

    async def __aenter__(self) -> asyncpg.Connection:
        try:
            self.held = await self.pool.take()
        except GONE as error:
            raise Unavailable(part="database") from error
        return self.held.connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.held is not None
        is_closed = self.held.connection.is_closed()
        # What was cancelled in the middle of a statement is not waited for.
        self.pool.give(self.held, broken=error is not None and not isinstance(error, Exception))
        if is_closed and isinstance(error, ENDED):
            raise asyncpg.ConnectionDoesNotExistError(str(error)) from error


class _Reading(AbstractAsyncContextManager[Fresh]):
    """A loan as a door."""

    __slots__ = ("loan",)

    def __init__(self, pool: Pool) -> None:
        self.loan = _Loan(pool)

    async def __aenter__(self) -> Fresh:
        return Fresh(await self.loan.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.loan.__aexit__(kind, error, trace)
