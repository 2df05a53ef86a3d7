"""Migrations while a market is at work: traffic goes on, the release before goes on, and what is filled comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import asyncpg
import pytest
from alembic.script import ScriptDirectory

from entrepot.kernel.app import App
from entrepot.kernel.upkeep import migrate
from entrepot.main import find_apps
from tests.apps.escrow.conftest import LISTING, Caller
from tests.conftest import ROLE, TestDatabase, served, settings_for

EXPAND = """
from alembic import op
revision, down_revision = "{revision}", "{before}"
def upgrade():
    op.execute("ALTER TABLE escrow.products ADD COLUMN shelf_mark TEXT")
    op.execute("CREATE TABLE escrow.shelves (mark TEXT PRIMARY KEY)")
def downgrade():
    op.execute("DROP TABLE escrow.shelves")
    op.execute("ALTER TABLE escrow.products DROP COLUMN shelf_mark")
"""
LOCK_TIMEOUT = 0.4  # seconds; five in production
PATIENCE = 20.0


@dataclass
class Traffic:
    """What callers met: how long each answer took, in seconds, and what was not answered well."""

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def p95(self, of: list[float]) -> float:
        """The time under which 95 of a hundred were answered."""
        return sorted(of)[int(len(of) * 0.95)]


@asynccontextmanager
async def market(database: TestDatabase) -> AsyncIterator[aiohttp.ClientSession]:
    """The house over HTTP, on that database."""
    async with served(settings_for(database)) as url, aiohttp.ClientSession(url) as http:
        yield http


async def seller(http: aiohttp.ClientSession) -> Caller:
    """Somebody new, who is signed in."""
    made = Caller(http)
    assert (await made.sign_in(made.key)).status == 200
    return made


@asynccontextmanager
async def traffic(http: aiohttp.ClientSession) -> AsyncIterator[Traffic]:
    """Readers and writers that never rest, for as long as the block runs."""
    met = Traffic()

    async def call(of: list[float], caller: Caller, method: str, wanted: int, **more: Any) -> None:
        while True:
            # No two reads ask the same, so that none is answered from a cache.
            asks = {"params": {"limit": 5, "min_price": f"0.{len(of):06}"}} if method == "GET" else more
            began = monotonic()
            answer = await caller.call(method, "products", **asks)
            of.append(monotonic() - began)
            if answer.status != wanted:
                met.failed.append(f"{method} {answer.status}: {answer.body}")
            await asyncio.sleep(0.005)

    sellers = [await seller(http) for _ in range(2)]
    reads = [call(met.reads, Caller(http), "GET", 200) for _ in range(2)]
    writes = [call(met.writes, each, "POST", 201, json=LISTING) for each in sellers]
    work = [asyncio.create_task(each) for each in (*reads, *writes)]
    try:
        yield met
        met.failed += [repr(each.exception()) for each in work if each.done()]
    finally:
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    """The market with one more migration, which only adds: what the release after this one would bring first."""
    escrow = next(app for app in find_apps() if app.name == "escrow")
    (tmp_path / "versions").mkdir()
    for each in (migrate.home(escrow) / "versions").iterdir():
        if each.is_file():
            (tmp_path / "versions" / each.name).write_bytes(each.read_bytes())
    head = ScriptDirectory.from_config(migrate.config(escrow)).get_current_head()
    text = EXPAND.format(revision="escrow_next", before=head)
    (tmp_path / "versions" / "next.py").write_text(text)
    monkeypatch.setattr(migrate, "home", lambda _app: tmp_path)
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", f"{LOCK_TIMEOUT * 1000:.0f}ms")
    return escrow


async def eventually(owner: asyncpg.Connection, question: str) -> None:
    """Waits until the database says yes."""
    async with asyncio.timeout(PATIENCE):
        while not await owner.fetchval(question):
            await asyncio.sleep(0.01)


GAVE_UP = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"


async def test_a_migration_that_waits_for_a_lock_does_not_hold_up_the_market(
    database: TestDatabase, owner: asyncpg.Connection, next_release: App
) -> None:
    slow = await asyncpg.connect(database.owner_url)
    async with market(database) as http, traffic(http) as met:
        await asyncio.sleep(0.5)
        async with slow.transaction():  # a report that looks at the products for long
            await slow.fetchval("SELECT count(*) FROM escrow.products")
            run = asyncio.create_task(migrate.up(database.owner_url, [next_release], ROLE))
            for _ in range(3):  # it comes back, again and again
                await eventually(owner, GAVE_UP)
                await eventually(owner, GAVE_UP.replace("> 0", "= 0"))
            assert not run.done()
            answered = len(met.reads), len(met.writes)
        await asyncio.wait_for(run, 60)
        await asyncio.sleep(0.5)
    await slow.close()
    assert met.failed == []
    assert answered[0] < len(met.reads)
    assert answered[1] < len(met.writes)
    assert max(met.reads + met.writes) < LOCK_TIMEOUT + 2
    told = f"p95 of reads {met.p95(met.reads):.3f} s, of writes {met.p95(met.writes):.3f} s"
    assert max(met.p95(met.reads), met.p95(met.writes)) < LOCK_TIMEOUT + 1, told
    print(told)
    assert await owner.fetchval("SELECT to_regclass('escrow.shelves') IS NOT NULL")


async def test_the_release_before_works_on_the_next_ones_schema(
    database: TestDatabase, owner: asyncpg.Connection, next_release: App
) -> None:
    async with market(database) as http:
        ann = await seller(http)
        await ann.lists()
        await migrate.up(database.owner_url, [next_release], ROLE)
        assert await owner.fetchval("SELECT shelf_mark IS NULL FROM escrow.products")
        # Statements that were prepared before the migration, and a server that begins after it.
        await ann.lists()
    async with market(database) as http, traffic(http) as met:
        await asyncio.sleep(1)
    assert met.failed == []
    assert met.reads
    assert met.writes


async def test_every_app_comes_back_empty_from_a_filled_database(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    async with market(database) as http, traffic(http) as met:
        await asyncio.sleep(1)
    assert met.failed == []
    assert await owner.fetchval("SELECT count(*) FROM escrow.products") > 0
    apps = find_apps()
    for app in reversed(apps):
        await migrate.down(database.owner_url, app, "base")
    await migrate.up(database.owner_url, apps, ROLE)
    assert await owner.fetchval("SELECT count(*) FROM escrow.products") == 0
    async with market(database) as http, traffic(http) as met:
        await asyncio.sleep(0.5)
    assert met.failed == []
    assert met.writes


async def test_a_run_gives_its_rights_again_where_a_worker_changes_the_same_table(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    worker = await asyncpg.connect(database.owner_url)
    async with worker.transaction():
        await worker.execute("GRANT SELECT ON core.sessions TO postgres")
        run = asyncio.create_task(migrate.up(database.owner_url, find_apps(), ROLE))
        await eventually(owner, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
    await asyncio.wait_for(run, 60)
    await worker.close()
    assert await owner.fetchval("SELECT has_table_privilege($1, 'core.sessions', 'INSERT')", ROLE)
