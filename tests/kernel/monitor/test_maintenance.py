"""Maintenance does what is needed, and nothing where nothing is."""

import asyncpg
import pytest

from entrepot.kernel.app import Apps
from entrepot.kernel.monitor.maintenance import maintain
from entrepot.main import find_apps
from tests.conftest import TestDatabase

APPS = Apps(find_apps())
FILL = """
    ALTER TABLE core.secrets SET (autovacuum_enabled = false);
    INSERT INTO core.secrets SELECT 'secret ' || n, '' FROM generate_series(1, 60000) n;
"""
INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'core.idx_sessions_wallet'::regclass"
FLUSH = "SELECT pg_stat_force_next_flush()"


@pytest.fixture
async def quiet(owner: asyncpg.Connection, database: TestDatabase) -> TestDatabase:
    """A database in which nothing is to be done."""
    await owner.execute("ANALYZE")
    assert await maintain(database.owner_url, APPS) == []
    return database


async def test_old_statistics_are_made_anew_once(quiet: TestDatabase, owner: asyncpg.Connection) -> None:
    await owner.execute(FILL + FLUSH)
    (told,) = await maintain(quiet.owner_url, APPS, dry_run=True)
    assert told.statement == "ANALYZE core.secrets"
    assert await maintain(quiet.owner_url, APPS) == [told]
    assert await owner.fetchval("SELECT reltuples FROM pg_class WHERE oid = 'core.secrets'::regclass") == 60_000
    assert await maintain(quiet.owner_url, APPS) == []


async def test_dead_rows_are_removed_and_a_sparse_index_is_made_dense(
    quiet: TestDatabase, owner: asyncpg.Connection
) -> None:
    await owner.execute(FILL)
    await owner.execute("DELETE FROM core.secrets WHERE substr(name, 8)::int % 4 <> 0; " + FLUSH)
    first = [each.statement for each in await maintain(quiet.owner_url, APPS)]
    assert first == ["VACUUM (ANALYZE) core.secrets"]
    size = await owner.fetchval("SELECT pg_relation_size('core.secrets_pkey')")
    second = [each.statement for each in await maintain(quiet.owner_url, APPS)]
    assert second == ["REINDEX INDEX CONCURRENTLY core.secrets_pkey"]
    assert await owner.fetchval("SELECT pg_relation_size('core.secrets_pkey')") < size / 2
    assert await maintain(quiet.owner_url, APPS) == []


async def test_what_another_holds_is_told_and_left(quiet: TestDatabase, owner: asyncpg.Connection) -> None:
    await owner.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'core.idx_sessions_wallet'::regclass"
    )
    holder = await asyncpg.connect(quiet.owner_url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK TABLE core.sessions")
    (told,) = await maintain(quiet.owner_url, APPS)
    assert "lock timeout" in told.failed
    await transaction.rollback()
    await holder.close()
    statements = [each.statement for each in await maintain(quiet.owner_url, APPS)]
    assert "REINDEX INDEX CONCURRENTLY core.idx_sessions_wallet" in statements
    assert await maintain(quiet.owner_url, APPS) == []
