"""Retention is run at night, by an operator's request, and by hand; and one run at a time."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from entrepot import cli
from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.core import CORE
from entrepot.kernel.db.database import Database
from entrepot.kernel.store.archives import archives_of
from entrepot.kernel.upkeep import retention
from entrepot.kernel.upkeep.archive.refusals import RetentionRunning
from entrepot.kernel.upkeep.partitions import cover
from entrepot.kernel.upkeep.retention import RetentionFailed, alone
from entrepot.kernel.work.cron import next_tick
from tests.conftest import TestDatabase, served, settings_for
from tests.kernel.conftest import OPERATOR, WALLET, prepare

Command = Callable[..., Awaitable[tuple[int, str]]]
OLD = """
    INSERT INTO core.system_metrics SELECT gen_random_uuid(), 'web-api', 'cpu', i, 'percent', $1, '{"core": 1}'
    FROM generate_series(1, 20) i
"""


@pytest.fixture
async def old(database: TestDatabase, owner: asyncpg.Connection) -> int:
    """Twenty metrics of half a year ago; answers how many."""
    moment = datetime.now(UTC) - timedelta(days=180)
    async with Database(database.owner_url, settings_for(database)) as doors, doors.write() as db:
        await cover(db, CORE, CORE.partitions["system_metrics"], moment, moment)
    await owner.execute(OLD, moment)
    return 20


async def ask(url: str, token: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/api/v1/monitoring/retention/run", headers={"Authorization": f"Bearer {token}"}) as answer,
    ):
        return answer.status, await answer.json()


async def test_an_operator_may_run_it_and_nobody_else(
    database: TestDatabase, owner: asyncpg.Connection, old: int, tmp_path: Path
) -> None:
    await prepare(owner)
    given = {"retention_needs_backup": False, "archives_url": tmp_path.as_uri(), "operators": (OPERATOR,)}
    settings = settings_for(database, **given)
    async with served(settings) as url:
        assert (await ask(url, "nobody"))[0] == 401
        assert (await ask(url, WALLET))[0] == 403
        async with Database(database.url, settings) as doors, alone(doors):
            status, told = await ask(url, OPERATOR)
            assert (status, told["type"].rpartition("/")[2].rpartition(":")[2]) == (409, "retention-running")
        status, told = await ask(url, OPERATOR)
    assert (status, told["removed_rows"], told["dropped_partitions"]) == (200, old, 1)
    assert told["is_finished"] is True
    assert await owner.fetchval("SELECT count(*) FROM core.system_metrics") == 0


async def test_one_run_at_a_time(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database)) as doors:
        async with alone(doors, timedelta(seconds=1)):
            with pytest.raises(RetentionRunning):
                async with alone(doors, timedelta(seconds=1)):
                    pass
        async with alone(doors):
            pass


async def test_a_run_that_lost_its_lease_ends_as_a_failure_and_not_as_the_end_of_the_worker(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    async def lose(doors: Database) -> None:
        async with alone(doors, timedelta(seconds=0.6)):
            await owner.execute("UPDATE core.leases SET owner = gen_random_uuid(), expires_at = now() + interval '1 h'")
            await asyncio.sleep(10)

    async with Database(database.url, settings_for(database)) as doors:
        with pytest.raises(RetentionFailed, match="lost the lease"):
            await lose(doors)
    us = asyncio.current_task()
    assert us is not None
    assert us.cancelling() == 0


@pytest.mark.parametrize("runs", [retention.run, retention.run_now])
async def test_a_machine_whose_clock_is_ahead_lets_nothing_go_early(
    database: TestDatabase, old: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Callable[..., Any]
) -> None:
    settings = settings_for(database, retention_needs_backup=False, archives_url=tmp_path.as_uri())
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(days=4000))
    async with Database(database.url, settings) as doors:
        done = await runs(doors, archives_of(settings), Apps((CORE,)), settings)
    assert (done.removed_rows, done.expired_archives, done.failures) == (old, 0, [])


def test_it_runs_every_night_at_two() -> None:
    (task,) = (task for task in CORE.tasks if task.name == "core.retention")
    assert next_tick(task.cron, datetime(2026, 2, 27, 15, tzinfo=UTC)) == datetime(2026, 2, 28, 2, tzinfo=UTC)


@pytest.fixture
def command(database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line; answers exit status and what it says."""
    for name, value in {
        "DATABASE_URL": database.url,
        "DATABASE_OWNER_URL": database.owner_url,
        "ENTREPOT_HOME": str(tmp_path),
        "ENTREPOT_RETENTION_NEEDS_BACKUP": "false",
    }.items():
        monkeypatch.setenv(name, value)

    def work(*arguments: str) -> tuple[int, str]:
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        return int(ended.value.code or 0), said.getvalue()

    return lambda *arguments: asyncio.to_thread(work, *arguments)


async def test_an_operator_archives_lists_verifies_and_restores_by_hand(
    command: Command, owner: asyncpg.Connection, old: int, tmp_path: Path
) -> None:
    before = await owner.fetch("SELECT t::text FROM core.system_metrics t ORDER BY id")
    status, said = await command("retention", "run", "--json")
    assert (status, json.loads(said)["archived_rows"]) == (0, old)
    status, said = await command("archive", "list", "--table", "core.system_metrics", "--json")
    (archive,) = json.loads(said)
    assert (status, archive["state"], archive["rows"]) == (0, "removed", old)
    status, said = await command("archive", "restore", archive["id"], "--into", "looked_at")
    assert status == 0, said
    assert await owner.fetch("SELECT t::text FROM core.looked_at t ORDER BY id") == before
    status, said = await command("archive", "restore", archive["id"])
    assert (status, "20 rows are back" in said) == (0, True)
    assert await owner.fetch("SELECT t::text FROM core.system_metrics t ORDER BY id") == before
    status, complaint = await command("archive", "restore", archive["id"])
    assert (status, "This archive is restored" in complaint) == (1, True)
    (tmp_path / f"archives/core/system_metrics/{archive['id']}.parquet").unlink()
    status, said = await command("archive", "verify")
    assert (status, "1 of 1 archives are damaged" in said) == (1, True)


async def test_a_run_by_hand_that_loses_its_lease_says_so(
    command: Command, owner: asyncpg.Connection, old: int
) -> None:
    await owner.execute("""
        CREATE FUNCTION core.lose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            UPDATE core.leases SET owner = gen_random_uuid(), expires_at = now() + interval '1 hour'
                WHERE name = 'retention';
            PERFORM pg_sleep(3);
            RETURN new;
        END $$;
        CREATE TRIGGER lose BEFORE INSERT ON core.archives FOR EACH ROW EXECUTE FUNCTION core.lose();
    """)
    status, said = await command("retention", "run")
    assert (status, "lost the lease retention" in said, "Traceback" in said) == (1, True, False)
    assert await owner.fetchval("SELECT count(*) FROM core.system_metrics") == old
