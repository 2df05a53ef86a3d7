"""An archive of the WAL that stands still is told until it goes on: the house's own, and the server's."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import aiohttp
import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from entrepot.commands import doctor
from entrepot.dev import postgres
from entrepot.kernel import clock
from entrepot.kernel.core import CORE
from entrepot.kernel.monitor.wal import OURS, THEIRS
from entrepot.kernel.settings import AlertSettings, Settings
from entrepot.kernel.upkeep import migrate
from tests.conftest import ROLE, TestDatabase, served
from tests.kernel.monitor.watch import Watch, changed, watched
from tests.kernel.monitor.worker import Place, working
from tests.kernel.upkeep.cellar import APPS, SETTINGS, Cellar, cellar_of

SOON = {"alerts": changed(wal=AlertSettings(threshold=2, hold=0))}
LAST = "SELECT last_archived_wal FROM pg_stat_archiver"
SWITCH = "SELECT pg_logical_emit_message(true, 'test', 'more'); SELECT pg_switch_wal()"
TOLD = ["fired", "resolved"]


@dataclass(frozen=True)
class Shelf:
    """A server with an archive_command, and the folder that this fills."""

    server: postgres.Server
    folder: Path

    @property
    def gate(self) -> Path:
        """While it is there the command does not end."""
        return self.folder / "shut"

    @property
    def database(self) -> TestDatabase:
        return TestDatabase(self.server, "postgres")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """The owner's connection, once a segment was archived: before, nobody can tell that one waits."""
        owner = await asyncpg.connect(self.server.get_uri())
        try:
            await owner.execute(SWITCH)
            while not re.fullmatch("[0-9A-F]{24}", await owner.fetchval(LAST) or ""):
                await asyncio.sleep(0.05)
            yield owner
        finally:
            await owner.close()


@pytest.fixture(scope="module")
def furnished() -> Iterator[Shelf]:
    data, folder = (Path(tempfile.mkdtemp(prefix="entrepot-test-")) for _ in range(2))
    for each in (folder, folder / "wal"):
        each.mkdir(exist_ok=True)
        each.chmod(0o777)  # PostgreSQL runs as a user of its own
    command = f"while test -e {folder}/shut; do sleep 0.05; done; cp %p {folder}/wal/%f"
    settings = {**SETTINGS, "archive_mode": "on", "archive_command": f"'{command}'"}
    with postgres.started(data, settings, throw_away=True) as server:
        asyncio.run(migrate.up(server.get_uri(), APPS, ROLE))
        yield Shelf(server, folder)
        (folder / "shut").unlink(missing_ok=True)
    shutil.rmtree(folder)


@pytest.fixture
async def shelf(furnished: Shelf) -> Shelf:
    """Of which nothing was told or measured yet."""
    async with furnished.connected() as owner:
        await owner.execute("TRUNCATE core.incidents, core.notices, core.system_metrics")
    return furnished


@pytest.fixture
def cellar(shelf: Shelf) -> Iterator[Cellar]:
    with cellar_of(shelf.server.get_uri(), postgres.address(shelf.server, ROLE, "postgres")) as made:
        yield made


def subjects(watch: Watch) -> set[str]:
    return {each["data"]["subject"] for each in watch.posts if each["data"]["rule"] == "wal"}


def words(watch: Watch) -> str:
    """What was told last."""
    found: str = watch.posts[-1]["data"]["told"]
    return found


async def look_until(watch: Watch, told: list[str]) -> None:
    async with asyncio.timeout(60):
        while watch.told("wal") != told:
            await asyncio.sleep(0.2)
            await watch.look()


async def all_is_well(watch: Watch) -> None:
    """Where the machine is slow the archive may have been behind at first; nothing was told of that then."""
    async with asyncio.timeout(60):
        await watch.look()
        while watch.told("wal")[-1:] == ["fired"]:
            await asyncio.sleep(0.2)
            await watch.look()
    watch.posts.clear()
    watch.letters.all.clear()


async def behind(settings: Settings) -> dict[str, float]:
    """By how many seconds each archive is, as Prometheus is told."""
    async with served(settings) as url, aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
        samples = [each for family in families for each in family.samples]
    now, name = clock.now().timestamp(), "entrepot_wal_archived_seconds"
    return {each.labels["archive"]: now - each.value for each in samples if each.name == name}


@asynccontextmanager
async def archived(cellar: Cellar, shelf: Shelf) -> AsyncIterator[Watch]:
    """A house that is watched, whose WAL a worker archives."""
    settings = cellar.settings()
    given = {name: getattr(settings, name) for name in ("backup_url", "home", "database_owner_url")}
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(watched(shelf.database, **SOON, **given))
        await stack.enter_async_context(working(Place(watch.house, (replace(CORE, tasks=()),))))
        await cellar.archived()
        await all_is_well(watch)
        yield watch


async def test_an_archive_whose_store_takes_no_more_is_told_until_it_takes_it(shelf: Shelf, cellar: Cellar) -> None:
    async with archived(cellar, shelf) as watch:
        folder = cellar.file("wal")
        folder.rename(folder.with_name("away"))
        folder.touch()  # and nothing can be put below it
        await look_until(watch, ["fired"])
        assert subjects(watch) == {OURS}
        assert words(watch).startswith("it reaches 20")
        assert 2 < (await behind(watch.house.settings))[OURS] < 600
        folder.unlink()
        folder.with_name("away").rename(folder)
        await look_until(watch, TOLD)
        began = monotonic()
        assert (await behind(watch.house.settings))[OURS] < 3 + monotonic() - began


async def test_an_archive_whose_store_is_away_is_told_though_nobody_can_look_at_it(
    shelf: Shelf, cellar: Cellar
) -> None:
    async with archived(cellar, shelf) as watch:
        store, away = cellar.folder / "backups", cellar.folder / "away"
        store.rename(away)
        store.touch()
        await look_until(watch, ["fired"])
        assert words(watch).startswith("it cannot be looked at: ENTREPOT_BACKUP_URL")
        assert 2 < (await behind(watch.house.settings))[OURS] < 600
        (told,) = await doctor.collect(doctor.backups(watch.house.settings))
        assert (told.state, told.mend) == ("bad", "see docs/operations/wal-archive.md")
        assert await doctor.collect(doctor.monitoring(watch.house.settings)) == [], "it was told already"
        store.unlink()
        away.rename(store)
        await look_until(watch, TOLD)


async def test_an_archive_that_no_worker_has_begun_is_as_old_as_the_server(shelf: Shelf, cellar: Cellar) -> None:
    async with watched(shelf.database, **SOON, backup_url=cellar.settings().backup_url) as watch:
        await look_until(watch, ["fired"])
        assert words(watch) == "it is empty"
        assert 2 < (await behind(watch.house.settings))[OURS] < 600


async def test_an_archive_command_that_fails_or_hangs_is_told_until_it_succeeds(shelf: Shelf) -> None:
    async with shelf.connected() as owner, watched(shelf.database, **SOON) as watch:
        await all_is_well(watch)
        await owner.execute("SELECT pg_stat_reset_shared('archiver')")  # as where it never took anything
        (shelf.folder / "wal").chmod(0o500)
        await owner.execute(SWITCH)
        await look_until(watch, ["fired"])
        assert subjects(watch) == {THEIRS}
        assert words(watch).startswith("it fails with 0000")
        assert 2 < (await behind(watch.house.settings))[THEIRS] < 600
        (shelf.folder / "wal").chmod(0o777)
        await owner.execute(SWITCH)  # which wakes it; else it tries again once a minute
        await look_until(watch, TOLD)
        assert (await behind(watch.house.settings))[THEIRS] < 3
        shelf.gate.touch()
        await owner.execute(SWITCH)
        await look_until(watch, [*TOLD, "fired"])
        assert words(watch).startswith("it does not end, or is empty")
        shelf.gate.unlink()
        await look_until(watch, TOLD * 2)


async def test_the_note_of_a_backup_is_no_reason_to_think_that_a_segment_waits(shelf: Shelf) -> None:
    async with shelf.connected() as owner, watched(shelf.database, **SOON) as watch:
        # Within one segment, so that the note is what comes after it; else the archiver may take it before the last.
        await owner.execute("SELECT pg_backup_start('test', true)")
        await owner.execute("SELECT pg_backup_stop(false)")
        async with asyncio.timeout(60):
            while not (await owner.fetchval(LAST)).endswith(".backup"):
                await asyncio.sleep(0.05)
        await asyncio.sleep(2.2)
        await watch.look()
        assert watch.told("wal") == []
