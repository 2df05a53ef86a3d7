"""Partitions are there before they are needed: a year goes by, horizons and periods change, and no row finds none."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest

from entrepot.kernel.app import Partitioned, Period
from entrepot.kernel.core import CORE
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.partitions import Partition
from tests.conftest import TestDatabase
from tests.kernel.upkeep.attic import APP, DAILY, NOW, Attic, opened

DAY = timedelta(days=1)
READING = "INSERT INTO attic.readings (id, at) VALUES ($1, $2)"


@pytest.fixture
async def attic(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Attic]:
    async with opened(database, tmp_path) as made:
        yield made


async def make(attic: Attic, now: datetime, declared: Partitioned) -> None:
    app = replace(APP, partitions={"readings": declared})
    async with attic.database.write() as db:
        await partitions.make(db, (app,), now)
        assert await partitions.late(db, (app,), now) == []


async def there(attic: Attic) -> list[Partition]:
    async with attic.database.read() as db:
        return await partitions.of(db, "attic.readings")


@pytest.mark.parametrize("period", list(Period))
async def test_a_year_goes_by_and_no_row_finds_no_partition(period: Period, attic: Attic) -> None:
    declared, now = replace(DAILY, period=period), NOW
    for day in range(366):
        await make(attic, now, declared)
        moments = [now - timedelta(hours=23), now, now + timedelta(hours=25), now + declared.horizon]
        await attic.owner.executemany(READING, [(day * 4 + place, moment) for place, moment in enumerate(moments)])
        now += DAY
    found = await there(attic)
    assert all(before.upper == after.lower for before, after in pairwise(found))
    assert {each.lower for each in found} == {partitions.begin(period, each.lower) for each in found}


async def test_a_horizon_or_a_period_that_changes_leaves_no_gap_and_no_overlap(attic: Attic) -> None:
    dice, now = random.Random(7), NOW
    for number in range(60):
        declared = replace(DAILY, period=dice.choice(list(Period)), horizon=DAY * dice.randint(1, 40))
        await make(attic, now, declared)
        await attic.owner.execute(READING, number, now + declared.horizon)
        await attic.owner.execute(READING, -number, now)
        now += DAY * dice.randint(1, 20)
    found = await there(attic)
    assert all(before.upper == after.lower for before, after in pairwise(found))


async def test_partitions_that_are_there_are_not_made_again(attic: Attic) -> None:
    assert len(await attic.partitions(NOW)) == 7
    assert await attic.partitions(NOW) == []
    assert await attic.partitions(NOW + DAY) == ["attic.readings_2026_06_07"]


async def test_what_is_late_is_told(attic: Attic) -> None:
    await attic.partitions(NOW)
    async with attic.database.read() as db:
        assert await partitions.late(db, attic.apps, NOW + 3 * DAY) == []
        assert await partitions.late(db, attic.apps, NOW + 5 * DAY) == [
            "attic.readings_2026_06_07",
            "attic.readings_2026_06_08",
        ]


async def test_two_workers_at_once_make_each_partition_once(attic: Attic) -> None:
    both = await asyncio.gather(attic.partitions(NOW), attic.partitions(NOW), return_exceptions=True)
    assert sum(isinstance(each, list) for each in both) >= 1
    assert len(await there(attic)) == 7


async def test_who_reads_and_writes_does_not_wait_for_a_new_partition(attic: Attic) -> None:
    await attic.partitions(NOW)
    async with attic.owner.transaction():
        await attic.owner.execute(READING, 1, NOW)
        assert len(await asyncio.wait_for(attic.partitions(NOW + DAY), 5)) == 1


async def test_the_server_can_drop_no_partition_without_its_proven_archive(attic: Attic) -> None:
    await attic.add_readings(days=12, a_day=2)
    server = await asyncpg.connect(attic.database.url)
    add = (
        "INSERT INTO core.archives (id, app, table_name, partition, lower, upper, schema_revision, state, content_hash,"
        " proven_at) VALUES (gen_random_uuid(), 'attic', 'readings', $1, $2, $3, '', $4, '', now()) RETURNING id"
    )
    lower = datetime(2026, 5, 21, tzinfo=UTC)
    for name, upper, state in (
        ("readings_2026_05_21", lower + DAY, "writing"),
        ("readings_2026_05_21", lower + 2 * DAY, "proven"),
        ("things", lower + DAY, "proven"),
    ):
        archive = await server.fetchval(add, name, lower, upper, state)
        with pytest.raises(asyncpg.PostgresError):
            await server.execute("SELECT core.drop_partition($1)", archive)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await server.execute("DELETE FROM attic.readings_2026_05_21")
    await server.close()
    assert len(await attic.image("readings")) == 24


async def test_metrics_find_their_partition_from_the_first_day_on(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    server = await asyncpg.connect(database.url)
    for moment in ("now()", "now() - interval '1 day'", "now() + interval '90 days'"):
        await server.execute(
            "INSERT INTO core.system_metrics (id, service_name, metric_type, metric_value, unit, timestamp)"
            f" VALUES (gen_random_uuid(), 'web-api', 'cpu', 1.5, 'percent', {moment})"
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await server.execute("DELETE FROM core.system_metrics")
    await server.close()
    names = await owner.fetch("SELECT name FROM core.partitions_of('core.system_metrics')")
    assert all(
        row["name"].startswith("system_metrics_2") and len(row["name"]) == len("system_metrics_2024_01")
        for row in names
    )
    assert CORE.partitions["system_metrics"].period is Period.MONTH
