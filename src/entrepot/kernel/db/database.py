"""What comes out of the pool: a connection as `Read`, or as `Write`, which is one transaction."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self

import asyncpg

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.pool import GONE, LOST, Held, Pool
from entrepot.kernel.refusal import CommitUnknown, Unavailable
from entrepot.kernel.settings import Settings


class Database:
    """One pool with two doors. Raises `Unavailable` when no connection is free in time or the server is away.

    A connection that ends while it is in use raises one of `LOST`.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.settings = settings
        self.pool = Pool(url, settings)

    async def __aenter__(self) -> Self:
        await self.pool.__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.pool.__aexit__(*failure)

    def read(self) -> AbstractAsyncContextManager[Read]:
        """A door that may only query."""
        return _Reading(self.pool)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Write]:
        """A door that is one transaction: committed when the block ends, rolled back when it raises.

        Where it raises one of `LOST`, nothing has happened; a connection that is lost while it commits raises
        `CommitUnknown`.
        """
        async with _Loan(self.pool) as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield Write(connection)
            except BaseException:
                if not connection.is_closed():
                    await transaction.rollback()
                raise
            try:
                await transaction.commit()
            except LOST as error:
                raise CommitUnknown(part="database") from error


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
        if is_closed and isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
            # asyncpg has other words for it too, among them where the server's last word came while nothing was asked.
            raise asyncpg.ConnectionDoesNotExistError(str(error)) from error


class _Reading(AbstractAsyncContextManager[Read]):
    """A loan as a door."""

    __slots__ = ("loan",)

    def __init__(self, pool: Pool) -> None:
        self.loan = _Loan(pool)

    async def __aenter__(self) -> Read:
        return Read(await self.loan.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.loan.__aexit__(kind, error, trace)
