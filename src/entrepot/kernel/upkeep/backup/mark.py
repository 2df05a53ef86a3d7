"""A mark on the primary: an LSN, and a snapshot that sees exactly what was committed before it.

PostgreSQL writes a commit to the WAL a moment before it lets others see it, so a snapshot and an LSN that were taken
one after the other need not agree. While all tables are locked against writers, nothing is in that moment.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from entrepot.kernel.upkeep.backup.model import BackupFailed, Lsn
from entrepot.kernel.upkeep.backup.server import connected

TRIES = 40
SHORTEST, LONGEST = 0.2, 1.5  # seconds that writers may have to wait; autovacuum gives way after one
PAUSE = 0.5
TABLES = """
    SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = ANY($1) AND relkind IN ('r', 'p') AND NOT relispartition AND relpersistence = 'p' ORDER BY 1
"""
SAME_TEXT = """
    SELECT set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO', false),
        set_config('intervalstyle', 'postgres', false), set_config('bytea_output', 'hex', false),
        set_config('extra_float_digits', '1', false), set_config('search_path', 'pg_catalog', false),
        set_config('idle_in_transaction_session_timeout', '0', false)
"""
WHERE = "SELECT pg_current_wal_insert_lsn()::text, clock_timestamp()"
LEAVE_TRACE = "SELECT pg_logical_emit_message(true, 'entrepot', 'mark')"
"""A record behind the mark: recovery stops at the first one there."""
CONTENT = "SELECT count(*), coalesce(sum(hashtextextended(one::text, 0)::numeric), 0) FROM {} AS one"


@dataclass(frozen=True)
class Mark:
    """A moment of the primary."""

    lsn: Lsn
    written: Lsn
    """Behind the mark; when the archive has this, it has the mark."""
    at: datetime
    tables: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """How many rows a table has, and the sum of their hashes."""

    rows: int
    hash: Decimal


async def tables(connection: asyncpg.Connection, schemas: Sequence[str]) -> tuple[str, ...]:
    """Every table of those schemas that is written to the WAL."""
    return tuple(row[0] for row in await connection.fetch(TABLES, list(schemas)))


@asynccontextmanager
async def marked(url: str, schemas: Sequence[str]) -> AsyncIterator[tuple[Mark, asyncpg.Connection]]:
    """A mark, and a connection that sees the primary as it was there. Writers wait for milliseconds.

    `url` is the owner's. Raises `BackupFailed` where writers leave no moment for it.
    """
    async with connected(url) as locker, connected(url) as reader:
        await reader.execute(SAME_TEXT)
        found = await tables(locker, schemas)
        for attempt in range(TRIES):
            try:
                async with locker.transaction():
                    await _lock(locker, found, min(SHORTEST * 1.2**attempt, LONGEST))
                    lsn, at = await locker.fetchrow(WHERE)  # type: ignore[misc]
                    await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    await reader.fetchval("SELECT pg_current_snapshot()::text")
                    await locker.execute("SET LOCAL synchronous_commit = on")
                    await locker.execute(LEAVE_TRACE)
                break
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                await asyncio.sleep(PAUSE)
        else:
            raise BackupFailed("long transactions leave no moment to mark the primary", "entrepot backup verify, later")
        written = await locker.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        yield Mark(Lsn.parse(lsn), Lsn.parse(written), at, found), reader


async def _lock(connection: asyncpg.Connection, names: Sequence[str], patience: float) -> None:
    """Against writers, not against readers."""
    await connection.execute(f"SET LOCAL lock_timeout = '{patience * 1000:.0f}ms'")
    if names:
        await connection.execute(f"LOCK TABLE {', '.join(names)} IN SHARE MODE")


async def contents(connection: asyncpg.Connection, names: Sequence[str]) -> dict[str, Content]:
    """Count and hash of every one of these tables."""
    found = {}
    for name in names:
        row = await connection.fetchrow(CONTENT.format(name))
        assert row is not None
        found[name] = Content(*row)
    return found


async def contents_of_copy(url: str, schemas: Sequence[str]) -> dict[str, Content]:
    """Count and hash of every table of those schemas."""
    async with connected(url) as connection:
        await connection.execute(SAME_TEXT)
        return await contents(connection, await tables(connection, schemas))
