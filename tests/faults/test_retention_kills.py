"""Retention killed at any instant: every row is in the database or in a proven archive, exactly once, and comes back.

`make faults` runs it in full (FAULTS=full): 2 M messages, 3 years of metrics, 100 kills.
"""

import asyncio
import os
import random
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic

import asyncpg
import pytest

from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.core import CORE
from entrepot.kernel.db.doors import Write
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.archive import restoring
from entrepot.main import House
from tests.conftest import TestDatabase, settings_for
from tests.faults import caretaker
from tests.faults.household import forked


@dataclass(frozen=True)
class Size:
    """How much there is, how many rows an archive takes, and how often it is killed: so many archives and seconds at
    most after it began."""

    messages: int
    metrics: int
    rows: int
    kills: int
    archives: int
    seconds: float


SIZE = (
    Size(2_000_000, 1_000_000, 50_000, 100, 1, 1.5)
    if os.environ.get("FAULTS") == "full"
    else Size(24_000, 9_000, 3_000, 10, 2, 0.03)
)

ARCHIVES = "SELECT count(*) FROM core.archives"


async def live_and_die(settings: Settings, dice: random.Random, log: Path, owner: asyncpg.Connection) -> bool:
    """A run, killed at a random instant from before its first statement on; answers whether it was at work still.

    It counts archives and not seconds alone, or else a quick machine would be done before the first kill.
    """
    enough = await owner.fetchval(ARCHIVES) + dice.randint(0, SIZE.archives)
    process = forked(caretaker.retain, log, settings, SIZE.rows)
    while process.is_alive() and await owner.fetchval(ARCHIVES) < enough:
        await asyncio.sleep(0.002)
    await asyncio.to_thread(process.join, dice.random() * SIZE.seconds)
    is_at_work = process.is_alive()
    process.kill()
    process.join()
    return is_at_work


async def restore_all(settings: Settings, owner: asyncpg.Connection) -> None:
    async with House(settings) as house:
        for row in await owner.fetch("SELECT id FROM core.archives WHERE state = 'removed'"):
            await restoring.restore(house.database, house.archives, Apps(house.apps), row["id"])


def objects(folder: Path) -> set[str]:
    return {path.stem for path in folder.rglob("*.parquet")}


def half_written(folder: Path) -> list[Path]:
    return list(folder.rglob("*#*"))


LARGE = """
    INSERT INTO core.system_metrics
    SELECT gen_random_uuid(), 'web-api', 'trace', 1, 'ms', $1, to_jsonb(t) FROM unnest($2::text[]) t
"""


async def test_what_was_half_written_by_one_who_was_killed_does_not_stay(
    database: TestDatabase, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """An archive of more than the 10 MB that are kept in memory before the store has a file."""
    settings = settings_for(database, archives_url=tmp_path.as_uri(), retention_needs_backup=False)
    moment, dice = clock.now() - timedelta(days=200), random.Random(0)
    async with owner.transaction():
        await partitions.cover(Write(owner), CORE, CORE.partitions["system_metrics"], moment, moment)
    await owner.execute(LARGE, moment, [dice.randbytes(50_000).hex() for _ in range(300)])
    process = forked(caretaker.retain, tmp_path / "log", settings, SIZE.rows)
    while process.is_alive() and not half_written(tmp_path):
        await asyncio.sleep(0.001)
    process.kill()
    process.join()
    assert half_written(tmp_path), "it was killed while it wrote"
    done = await caretaker.run(settings, SIZE.rows)
    assert (done.failures, done.dropped_partitions, done.removed_rows) == ([], 1, 300)
    assert not half_written(tmp_path)
    assert len(objects(tmp_path)) == 1


@pytest.mark.timeout(1800)
async def test_wherever_it_is_killed_no_row_is_lost_and_none_is_there_twice(
    database: TestDatabase, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"SEED={seed}")
    dice = random.Random(seed)
    settings = settings_for(database, archives_url=tmp_path.as_uri(), retention_needs_backup=False)
    await caretaker.fill(owner, SIZE.messages, SIZE.metrics)
    before, killed, began = await caretaker.images(owner), 0, monotonic()
    for _ in range(SIZE.kills):
        killed += await live_and_die(settings, dice, tmp_path / "log", owner)
        assert await caretaker.found(owner) == (SIZE.messages, SIZE.metrics)
    done = await caretaker.run(settings, SIZE.rows)
    assert (done.failures, done.waiting) == ([], 0)
    states = {row[0]: row[1] for row in await owner.fetch("SELECT state, count(*) FROM core.archives GROUP BY 1")}
    left = await caretaker.images(owner)
    print(
        f"{killed} killed at work in {monotonic() - began:.0f} s; archives {states}; left {[each[0] for each in left]}"
    )
    assert killed > SIZE.kills * 0.8
    assert states.keys() <= {"removed", "void"}
    assert left[0][0] < before[0][0] * 0.7, "messages older than a year are gone"
    assert left[1][0] < before[1][0] * 0.2, "metrics older than 90 days, by whole months, are gone"
    await restore_all(settings, owner)
    assert await caretaker.images(owner) == before, "the archives bring back what left, and each row once"
    counted = {str(row[0]) for row in await owner.fetch("SELECT id FROM core.archives WHERE state <> 'void'")}
    assert objects(tmp_path) == counted, "nothing lies in the store that nobody knows of"
