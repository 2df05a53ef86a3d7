"""Maintenance by need: VACUUM, ANALYZE and REINDEX of what bloat and old statistics ask for, and of nothing else.

The owner's work, as the server's role owns nothing. Everything here lets readers and writers go on.
"""

import logging
from collections.abc import Sequence

import asyncpg
import msgspec

from entrepot.kernel.app import Apps
from entrepot.kernel.settings import Settings

LOG = logging.getLogger("entrepot.monitor")
LARGE = 1_048_576  # octets below which bloat costs nothing
HAS_BLOAT = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgstattuple')"
# Autovacuum has the same reasons, and comes sooner where it comes at all: this is for what it left.
TABLES = """
    SELECT format('%I.%I', schemaname, relname) AS name, n_dead_tup AS dead, n_live_tup AS live,
        n_mod_since_analyze AS changed,
        n_dead_tup > 1000 AND n_dead_tup > 0.2 * (n_live_tup + n_dead_tup) AS wants_vacuum,
        n_mod_since_analyze > 500 + 0.1 * n_live_tup AS wants_analyze
    FROM pg_stat_user_tables WHERE schemaname = ANY($1) ORDER BY 1
"""
# An index that was left behind by a REINDEX that was cut short is not wanted; any other is made anew.
INVALID = r"""
    SELECT i.indexrelid::regclass::text AS name, c.relname ~ '_ccnew\d*$' AS is_rest FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace = ANY($1::text[]::regnamespace[]) ORDER BY 1
"""
SPARSE = """
    SELECT name, density FROM (
        SELECT c.oid::regclass::text AS name, (public.pgstatindex(c.oid::regclass)).avg_leaf_density AS density
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
        WHERE i.indisvalid AND c.relkind = 'i' AND m.amname = 'btree' AND pg_relation_size(c.oid) > $2
            AND c.relnamespace = ANY($1::text[]::regnamespace[])
    ) found WHERE density < 50 ORDER BY 1
"""


class Need(msgspec.Struct, frozen=True):
    """One thing to do, and why."""

    statement: str
    why: str
    failed: str = ""
    """Why it could not be done, such as a lock that another holds."""


async def needs(owner: asyncpg.Connection, schemas: Sequence[str]) -> list[Need]:
    """What is to be done now."""
    found = []
    for row in await owner.fetch(TABLES, schemas):
        if row["wants_vacuum"]:
            found.append(Need(f"VACUUM (ANALYZE) {row['name']}", f"{row['dead']} dead rows beside {row['live']}"))
        elif row["wants_analyze"]:
            found.append(Need(f"ANALYZE {row['name']}", f"{row['changed']} changes since its statistics were made"))
    for row in await owner.fetch(INVALID, schemas):
        act = "DROP INDEX CONCURRENTLY" if row["is_rest"] else "REINDEX INDEX CONCURRENTLY"
        found.append(Need(f"{act} {row['name']}", "it is invalid"))
    if await owner.fetchval(HAS_BLOAT):
        for row in await owner.fetch(SPARSE, schemas, LARGE):
            why = f"its leaves are {row['density']:.0f} % full"
            found.append(Need(f"REINDEX INDEX CONCURRENTLY {row['name']}", why))
    return found


async def mend(owner: asyncpg.Connection, need: Need) -> Need:
    """Does it. What waits five seconds for a lock gives up, and is told."""
    try:
        await owner.execute(need.statement)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError) as error:
        LOG.warning("%s: %s", need.statement, error)
        return msgspec.structs.replace(need, failed=str(error))
    return need


async def maintain(owner_url: str, apps: Apps, *, dry_run: bool = False) -> list[Need]:
    """Does all that is to be done, or only tells it."""
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("SET lock_timeout = '5s'; SET statement_timeout = 0")
        found = await needs(owner, [app.name for app in apps])
        return found if dry_run else [await mend(owner, need) for need in found]
    finally:
        await owner.close()


async def every_day(settings: Settings, apps: Apps) -> None:
    """The nightly run, where the worker knows the owner's address; elsewhere `entrepot maintain` does it."""
    if settings.database_owner_url:
        await maintain(settings.database_owner_url, apps)
