"""Migrations: once, by one process at a time, never in the way of traffic for long."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa

from entrepot import apps as applications
from entrepot.dev.postgres import Server
from entrepot.kernel.app import App
from entrepot.kernel.upkeep import migrate, revisions
from entrepot.main import find_apps
from tests.conformance.conftest import catalogue
from tests.conftest import ROLE, TestDatabase, cloned

REVISION = """
from alembic import op
revision, down_revision = {revision!r}, {before!r}
def upgrade(): op.execute({statement!r})
def downgrade(): op.execute({undo!r})
"""
UP = """
import asyncio, sys
from entrepot.kernel.upkeep import migrate
from entrepot.main import find_apps
asyncio.run(migrate.up(sys.argv[1], find_apps(), sys.argv[2]))
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = $1"
ACCESS = "SELECT relname::text, relacl::text FROM pg_class WHERE relnamespace = ANY ($1::regnamespace[]) ORDER BY 1"


@pytest.fixture
async def empty(cluster: Server) -> AsyncIterator[TestDatabase]:
    """A database in which nothing is."""
    async with cloned(cluster, template="template0") as made:
        yield made


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    """A tiny app in a folder of its own, with one migration."""
    versions = tmp_path / "probe" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "probe" / "__init__.py").write_text('"""An app of the tests."""')
    monkeypatch.setattr(applications, "__path__", [*applications.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "entrepot.apps.probe", raising=False)
    made = App(name="probe", tables=sa.MetaData(schema="probe"))
    add_revision(made, "p1", None, "CREATE TABLE probe.things (id int)", "DROP TABLE probe.things")
    return made


def add_revision(app: App, revision: str, before: str | None, statement: str, undo: str = "SELECT 1") -> None:
    text = REVISION.format(revision=revision, before=before, statement=statement, undo=undo)
    (migrate.home(app) / "versions" / f"{revision}.py").write_text(text)


async def eventually(owner: asyncpg.Connection, question: str, *given: object) -> None:
    """Waits until the database says yes."""
    async with asyncio.timeout(20):
        while not await owner.fetchval(question, *given):
            await asyncio.sleep(0.01)


async def test_a_second_run_changes_nothing(database: TestDatabase, owner: asyncpg.Connection) -> None:
    apps = find_apps()
    names = [app.name for app in apps]
    before = [await catalogue(owner, app) for app in apps], await owner.fetch(ACCESS, names)
    told: list[App] = []
    await migrate.up(database.owner_url, apps, ROLE, told.append)
    assert ([await catalogue(owner, app) for app in apps], await owner.fetch(ACCESS, names)) == before
    assert told == list(apps)


async def test_where_a_schema_stands_is_told(empty: TestDatabase) -> None:
    apps = find_apps()
    assert [standing.has for standing in await revisions.status(empty.owner_url, apps)] == [None] * len(apps)
    await migrate.up(empty.owner_url, apps, ROLE)
    assert all(standing.is_current for standing in await revisions.status(empty.owner_url, apps))
    await migrate.down(empty.owner_url, apps[-1])
    assert not (await revisions.status(empty.owner_url, apps))[-1].is_current


async def test_two_processes_at_once_do_it_once(empty: TestDatabase) -> None:
    runs = [await asyncio.create_subprocess_exec(sys.executable, "-c", UP, empty.owner_url, ROLE) for _ in range(2)]
    assert [await run.wait() for run in runs] == [0, 0]
    assert all(standing.is_current for standing in await revisions.status(empty.owner_url, find_apps()))


async def test_a_run_waits_for_the_one_before(empty: TestDatabase) -> None:
    other = await asyncpg.connect(empty.owner_url)
    await other.fetchval("SELECT pg_advisory_lock($1)", migrate.LOCK)
    run = asyncio.create_task(migrate.up(empty.owner_url, find_apps(), ROLE))
    await eventually(other, "SELECT count(*) > 1 FROM pg_stat_activity WHERE query LIKE '%try_advisory_lock%'")
    assert await other.fetchval("SELECT to_regnamespace('core')") is None
    await other.fetchval("SELECT pg_advisory_unlock($1)", migrate.LOCK)
    await asyncio.wait_for(run, 60)
    assert await other.fetchval("SELECT to_regclass('core.sessions')::text") == "core.sessions"
    await other.close()


async def test_nothing_of_the_session_is_left_behind(database: TestDatabase, owner: asyncpg.Connection) -> None:
    await migrate.up(database.owner_url, find_apps(), ROLE)
    assert await owner.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    assert await owner.fetchval("SELECT pg_try_advisory_lock($1)", migrate.LOCK)


async def test_a_migration_gives_way_to_a_long_transaction_and_comes_back(
    database: TestDatabase, owner: asyncpg.Connection, probe: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "300ms")
    await migrate.up(database.owner_url, [probe], ROLE)
    add_revision(probe, "p2", "p1", "ALTER TABLE probe.things ADD COLUMN name text")
    reader = await asyncpg.connect(database.url)
    async with owner.transaction():
        await owner.fetch("SELECT FROM probe.things")
        run = asyncio.create_task(migrate.up(database.owner_url, [probe], ROLE))
        for _ in range(3):
            await eventually(reader, WAITING, "relation")
            await reader.fetch("SELECT FROM probe.things", timeout=5)  # comes through when the migration gives way
        assert not run.done()
        assert (await revisions.status(database.owner_url, [probe]))[0].has == "p1"
    await asyncio.wait_for(run, 60)
    assert (await revisions.status(database.owner_url, [probe]))[0].is_current
    assert await owner.fetchval("SELECT has_table_privilege($1, 'probe.things', 'INSERT')", ROLE)
    await reader.close()


CONCURRENT = """
from alembic import op
revision, down_revision = "p2", "p1"
def upgrade():
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY things_id ON probe.things (id)")
def downgrade(): op.execute("DROP INDEX probe.things_id")
"""


async def test_an_index_is_built_beside_the_traffic_while_others_wait_for_their_turn(
    database: TestDatabase, owner: asyncpg.Connection, probe: App
) -> None:
    await migrate.up(database.owner_url, [probe], ROLE)
    (migrate.home(probe) / "versions" / "p2.py").write_text(CONCURRENT)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group, owner.transaction():
        await owner.execute("INSERT INTO probe.things VALUES (1)")
        for _ in range(3):
            group.create_task(migrate.up(database.owner_url, [probe], ROLE))
        watcher = await asyncpg.connect(database.owner_url)
        await eventually(watcher, WAITING, "virtualxid")
        await eventually(watcher, "SELECT count(*) > 2 FROM pg_stat_activity WHERE query LIKE '%advisory_lock%'")
        await watcher.close()
    assert await owner.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'probe.things_id'::regclass")
    assert (await revisions.status(database.owner_url, [probe]))[0].is_current


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    database: TestDatabase, owner: asyncpg.Connection, probe: App
) -> None:
    add_revision(probe, "p2", "p1", "CREATE TABLE probe.more (id int); SELECT 1 / 0")
    with pytest.raises(sa.exc.DBAPIError, match="division by zero|multiple commands"):
        await migrate.up(database.owner_url, [probe], ROLE)
    assert (await revisions.status(database.owner_url, [probe]))[0].has == "p1"
    assert await owner.fetchval("SELECT to_regclass('probe.more')") is None
    assert await owner.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_a_new_migration_is_written_from_what_is_missing(database: TestDatabase, probe: App) -> None:
    await migrate.up(database.owner_url, [probe], ROLE)
    sa.Table("things", probe.tables, sa.Column("id", sa.Integer), sa.Column("name", sa.Text))
    written = await migrate.new(database.owner_url, probe, "names")
    assert "add_column" in written.read_text()
    await migrate.up(database.owner_url, [probe], ROLE)
    assert await migrate.differences(database.owner_url, probe) == []
    await migrate.down(database.owner_url, probe)
    assert "name" in str(await migrate.differences(database.owner_url, probe))


async def test_the_servers_role_has_its_timeouts_whatever_lies_between(database: TestDatabase) -> None:
    server = await asyncpg.connect(database.url)
    shown = {
        name: await server.fetchval(f"SHOW {name}")
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    }
    assert shown == {
        "statement_timeout": "15s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "1min",
    }
    await server.close()
