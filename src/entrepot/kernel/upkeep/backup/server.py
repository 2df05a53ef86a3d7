"""What is asked of the server that is backed up, on a connection of a role that may replicate."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from entrepot.kernel.db.pool import LOST
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep.backup.model import BackupFailed, Cluster

SINCE_INCREMENTAL = 17
CLUSTER = """
    SELECT (SELECT system_identifier FROM pg_control_system())::text AS system,
        current_setting('server_version_num')::int AS version,
        (SELECT setting::bigint * CASE unit WHEN '8kB' THEN 8192 WHEN 'B' THEN 1 ELSE 1048576 END
            FROM pg_settings WHERE name = 'wal_segment_size') AS segment_size,
        (SELECT rolname FROM pg_roles WHERE oid = 10) AS superuser,
        current_setting('shared_preload_libraries') AS libraries,
        current_database() AS database
"""
NEEDS = """
    SELECT current_setting('wal_level') <> 'minimal' AS has_wal,
        current_setting('max_wal_senders')::int > 2 AS has_senders,
        coalesce(current_setting('summarize_wal', true), 'off') = 'on' AS summarizes,
        current_setting('data_checksums') = 'on' AS has_checksums,
        (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may_replicate,
        pg_has_role('pg_read_all_settings', 'USAGE') AS may_look,
        pg_is_in_recovery() AS is_replica,
        (SELECT count(*) FROM pg_tablespace WHERE oid NOT IN (1663, 1664)) AS tablespaces,
        current_setting('server_version_num')::int / 10000 AS major
"""


class Lack(Exception):
    """The server lacks something that backups need; the message says what, `mend` how it gets it."""


def address(settings: Settings) -> str:
    """The address that backups are taken from."""
    return settings.database_backup_url or settings.database_owner_url or settings.database_url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of its own, without time limit; raises `BackupFailed` where there is none, or none any more."""
    try:
        connection = await asyncpg.connect(url, timeout=10, server_settings={"statement_timeout": "0"})
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise BackupFailed(f"the database does not answer: {str(error) or type(error).__name__}") from error
    try:
        yield connection
    except LOST as error:
        connection.terminate()
        raise BackupFailed(f"the database went away: {str(error) or type(error).__name__}") from error
    finally:
        if not connection.is_closed():
            await connection.close(timeout=10)


async def cluster(connection: asyncpg.Connection) -> Cluster:
    """What must be known of it."""
    row = await connection.fetchrow(CLUSTER)
    assert row is not None
    return Cluster(**dict(row.items()))


async def size(connection: asyncpg.Connection) -> int:
    """The bytes of its files, about."""
    found: int = await connection.fetchval("SELECT sum(pg_database_size(oid))::bigint FROM pg_database")
    return found


async def now(connection: asyncpg.Connection) -> datetime:
    """The moment, by its clock: what was committed before has an earlier one."""
    moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return moment


async def lacks(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    """What backups need and the server has not, with what mends it."""
    has = await connection.fetchrow(NEEDS)
    assert has is not None
    wanted = {
        "has_wal": ("wal_level is minimal", "ALTER SYSTEM SET wal_level = replica, and restart it"),
        "has_senders": ("max_wal_senders is under 3", "ALTER SYSTEM SET max_wal_senders = 10, and restart it"),
        "may_replicate": ("the role may not replicate", "ALTER ROLE ... REPLICATION, or set DATABASE_BACKUP_URL"),
        "may_look": ("the role may not read all settings", "GRANT pg_monitor TO it"),
    }
    found = [told for name, told in wanted.items() if not has[name]]
    if has["is_replica"]:
        found.append(("it is a replica", "set DATABASE_BACKUP_URL to the primary"))
    if has["tablespaces"]:
        found.append(("it has tablespaces, which are not backed up", "move their tables to pg_default"))
    return found


async def notes(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    """What backups can do without, with what brings it."""
    has = await connection.fetchrow(NEEDS)
    assert has is not None
    found = []
    if not has["has_checksums"]:
        found.append(("data_checksums is off: damaged pages are noticed late", "pg_checksums --enable, while stopped"))
    if has["major"] < SINCE_INCREMENTAL:
        found.append((f"PostgreSQL {has['major']} has no incremental backups: all are full", "PostgreSQL 17 or newer"))
    elif not has["summarizes"]:
        found.append(("summarize_wal is off: there are no incremental backups", "ALTER SYSTEM SET summarize_wal = on"))
    return found


async def require(connection: asyncpg.Connection, *, incremental: bool = False) -> None:
    """Raises `BackupFailed` where such a backup cannot be made."""
    for what, mend in await lacks(connection):
        raise BackupFailed(f"the server cannot be backed up: {what}", mend)
    if incremental:
        for what, mend in await notes(connection):
            if "incremental" in what:
                raise BackupFailed(what, mend)
