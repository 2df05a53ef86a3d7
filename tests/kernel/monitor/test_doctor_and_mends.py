"""A market that is broken in many ways: the doctor names each, and what it says mends it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec
import pytest

from entrepot.cli import main
from entrepot.commands import doctor, here
from entrepot.commands.disks import Disk
from entrepot.dev.process import entrepot
from entrepot.kernel import clock
from entrepot.kernel.app import Period
from entrepot.kernel.db.database import Database
from entrepot.kernel.upkeep.partitions import end
from entrepot.main import House
from tests.bazaar import Bazaar, opened
from tests.conftest import ROLE, TestDatabase, free_port, settings_for

CUT_SHORT = "CREATE INDEX CONCURRENTLY cut_short ON core.sessions (created_at)"
HEAD = "SELECT min(last_block) FROM escrow.event_sync_cursor"


@dataclass
class Market:
    """A market of this test's own, and the operator's terminal."""

    bazaar: Bazaar
    owner: asyncpg.Connection
    environment: dict[str, str]
    folder: Path

    async def run(self, command: str) -> int:
        """Its exit status."""
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main, command.removeprefix("entrepot ").split())
        return int(str(ended.value.code or 0))

    async def wrong(self) -> dict[str, tuple[str, str]]:
        """What the doctor finds wrong, with what mends it."""
        findings = await asyncio.to_thread(list, doctor.examine())
        return {each.name: (each.found, each.mend) for each in findings if each.state == "bad"}

    async def work(self) -> None:
        """A worker, until it has read the chain to its head."""
        head = await self.bazaar.node.rpc.head()
        async with entrepot("worker", ["worker"], self.folder / "worker.log", self.environment) as worker:
            while ((await self.owner.fetchval(HEAD)) or 0) < head - 1:
                worker.still_there()
                await asyncio.sleep(0.1)
            assert await self.wrong() == {}
            assert await self.run("entrepot doctor") == 0


@pytest.fixture
async def market(
    database: TestDatabase, owner: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Market]:
    settings = settings_for(database, home=tmp_path / "home", port=free_port())
    async with Database(database.url, settings) as opening, opened(opening) as bazaar:
        more = {"ENTREPOT_VAULT_KEYS": '{"a": "' + "A" * 43 + '="}', "ENTREPOT_RETENTION_NEEDS_BACKUP": "false"}
        chained = msgspec.structs.replace(settings, chains=(bazaar.settings,))
        given = {**here.environment(chained), **more}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        yield Market(bazaar, owner, given, tmp_path)


async def cut_short(owner_url: str, owner: asyncpg.Connection) -> None:
    """An index that is not finished, as somebody ended the statement that made it."""
    other = await asyncpg.connect(owner_url)
    async with owner.transaction():
        await owner.execute("LOCK TABLE core.sessions IN ROW EXCLUSIVE MODE")
        await other.execute("SET statement_timeout = '300ms'")
        with pytest.raises(asyncpg.QueryCanceledError):
            await other.execute(CUT_SHORT)
    await other.close()


async def test_a_market_that_is_broken_in_five_ways_is_mended_by_what_the_doctor_says(
    market: Market, database: TestDatabase, owner: asyncpg.Connection
) -> None:
    async with House(settings_for(database), reports_as="server") as server:
        await server.reporter.report()
    await market.bazaar.node.mine(60)
    await owner.execute(f"DROP TABLE core.system_metrics_{end(Period.MONTH, clock.now()):%Y_%m}")
    await cut_short(database.owner_url, owner)
    await owner.execute(f"REVOKE DELETE ON core.outbox FROM {ROLE}")
    assert await market.run("entrepot task run core.retention") == 1
    wrong = await market.wrong()
    assert {name: mend for name, (_, mend) in wrong.items()} == {
        "worker": "entrepot worker",
        "ethereum": "entrepot worker",
        "partition": "entrepot migrate up",
        "index": "entrepot maintain",
        "task": "entrepot task run core.retention",
    }
    await owner.execute(f"GRANT DELETE ON core.outbox TO {ROLE}")  # what the task's error names
    assert "permission denied for table outbox" in wrong["task"][0]
    assert await market.run("entrepot doctor") == 1
    for name in ("partition", "index", "task"):
        assert await market.run(wrong[name][1]) == 0
    assert set(await market.wrong()) == {"worker", "ethereum"}
    await market.work()


@pytest.mark.parametrize(
    ("free", "total", "state"),
    [(600, 100_000, "bad"), (400, 2_000, "bad"), (1_000, 10_000, "note"), (2_000, 10_000, "good")],
)
def test_a_disk_is_full_by_its_share_and_by_what_is_left(free: int, total: int, state: str) -> None:
    """In megabytes."""
    assert Disk(Path("/"), ("home",), free * 2**20, total * 2**20).state == state


FULL = """
mount -t tmpfs -o size=64m none "$1"
head -c 63M /dev/zero > "$1/filled"
ENTREPOT_OBJECTS_URL="file://$1/objects" exec "$2" -m entrepot doctor --json
"""


def test_a_disk_that_is_nearly_full_is_told(database: TestDatabase, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    given = {**os.environ, **here.environment(settings_for(database, home=tmp_path / "home"))}
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]  # nobody else sees the mount
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "none", place], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    told = subprocess.run(
        [*alone, "sh", "-ec", FULL, "sh", place, sys.executable], env=given, capture_output=True, text=True, check=False
    )
    disks = [each for each in msgspec.json.decode(told.stdout)["findings"] if each["name"] == "disk"]
    (full,) = [each for each in disks if str(place) in each["found"]]
    assert (told.returncode, full["state"]) == (1, "bad")
    assert full["found"] == f"1 of 64 MB are free at {place} (objects)"
    assert full["mend"] == "see docs/operations/disk-full.md"
