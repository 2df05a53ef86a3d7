"""The doors to the database: `Read` may only query, `Fresh` queries the primary, `Write` is one transaction on it.

What an operation needs is the type of its first argument, so it is checked before the program runs.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NewType, TypeVar

import msgspec
from asyncpg import Connection, Record

from entrepot.kernel.db.query import Query
from entrepot.kernel.values import trust_value

T = TypeVar("T")
Json = NewType("Json", bytes)
"""A JSON document that PostgreSQL made; it goes to the socket as it is."""


class WritingRead(Exception):
    """A statement that writes was given to the `Read` door, which is a fault of the program."""


class NoRow(Exception):
    """A statement that must answer with a row answered with none."""


def noun(kind: type[T], row: Record) -> T:
    """A row as a frozen noun; columns carry the names of its fields."""
    return msgspec.convert(dict(row.items()), kind, dec_hook=trust_value, strict=False)


class Read:
    """May query, and may be served by a replica. A statement that writes is refused here before it is sent."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def _check(self, query: Query) -> None:
        if query.writes:
            raise WritingRead(repr(query))

    async def rows(self, query: Query, **given: Any) -> list[Record]:
        """Every row."""
        self._check(query)
        return await self.connection.fetch(query.sql, *query.bind(given))

    async def all(self, kind: type[T], query: Query, **given: Any) -> list[T]:
        """Every row, as nouns."""
        return [noun(kind, row) for row in await self.rows(query, **given)]

    async def maybe(self, kind: type[T], query: Query, **given: Any) -> T | None:
        """The first row as a noun, or None."""
        self._check(query)
        row = await self.connection.fetchrow(query.sql, *query.bind(given))
        return None if row is None else noun(kind, row)

    async def one(self, kind: type[T], query: Query, **given: Any) -> T:
        """The first row as a noun; raises `NoRow`."""
        found = await self.maybe(kind, query, **given)
        if found is None:
            raise NoRow(repr(query))
        return found

    async def value(self, query: Query, **given: Any) -> Any:
        """The first column of the first row, or None."""
        self._check(query)
        return await self.connection.fetchval(query.sql, *query.bind(given))

    async def json(self, query: Query, **given: Any) -> Json | None:
        """The JSON that PostgreSQL made in the first column of the first row, or None where there is no row."""
        self._check(query)
        found: bytes | None = await self.connection.fetchval(query.sql, *query.bind(given))
        return None if found is None else Json(found)


class Fresh(Read):
    """May query, and is served by the primary: for who must see what others committed a moment ago."""

    __slots__ = ()


class Write(Fresh):
    """One transaction on the primary. It commits where it was opened, never inside an operation."""

    __slots__ = ("announces", "busts")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.announces = False
        """Whether the bell is to be rung after the commit, because it published something."""
        self.busts: list[tuple[str, int]] = []
        """What caches must forget after the commit, and the number of this transaction."""

    def _check(self, query: Query) -> None:
        return

    async def run(self, query: Query, **given: Any) -> int:
        """How many rows the statement touched."""
        status = await self.connection.execute(query.sql, *query.bind(given))
        return int(status.rpartition(" ")[2] or 0)

    async def many(self, query: Query, rows: Iterable[dict[str, Any]]) -> None:
        """The same statement for every row, pipelined."""
        await self.connection.executemany(query.sql, [query.bind(row) for row in rows])

    async def copy(self, schema: str, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows in bulk, by COPY."""
        await self.connection.copy_records_to_table(table, schema_name=schema, columns=list(columns), records=rows)
