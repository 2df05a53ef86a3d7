"""Retention: what is old leaves the database once it is archived, proven and covered, and nothing else does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from entrepot.kernel.app import Apps
from entrepot.kernel.core import CORE
from entrepot.kernel.settings import BadSettings, load
from entrepot.kernel.upkeep.archive import restoring
from entrepot.kernel.upkeep.archive.model import Manifest
from entrepot.kernel.upkeep.retention import check
from tests.conftest import TestDatabase
from tests.kernel.upkeep.attic import NOW, Attic, opened


@pytest.fixture
async def attic(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Attic]:
    async with opened(database, tmp_path) as made:
        yield made


async def add_things(attic: Attic, count: int, age: str = "60 days", state: str = "done", first: int = 1) -> None:
    await attic.owner.execute(
        "INSERT INTO attic.things (id, at, state) "
        "SELECT i, $1::timestamptz - $2::text::interval + i * interval '1 s', $3"
        " FROM generate_series($4::bigint, $4 + $5::bigint - 1) i",
        NOW,
        age,
        state,
        first,
        count,
    )


async def test_old_rows_leave_and_young_ones_and_those_in_use_stay(attic: Attic) -> None:
    await add_things(attic, 50)
    await add_things(attic, 5, age="5 days", first=100)
    await add_things(attic, 5, state="open", first=200)
    await attic.owner.execute("INSERT INTO attic.labels VALUES (1, 7)")
    done = await attic.run()
    assert (done.archives, done.archived_rows, done.removed_rows, done.failures) == (1, 49, 49, [])
    left = {row["id"] for row in await attic.owner.fetch("SELECT id FROM attic.things")}
    assert left == {7, *range(100, 105), *range(200, 205)}
    assert (await attic.run()).archives == 0, "a second run finds nothing to do"


async def test_the_operator_says_how_long_rows_are_kept(attic: Attic) -> None:
    await add_things(attic, 5, age="60 days")
    attic.settings = msgspec.structs.replace(attic.settings, retention_days={"attic.things": 90})
    assert (await attic.run()).archives == 0
    attic.settings = msgspec.structs.replace(attic.settings, retention_days={"attic.things": 59})
    assert (await attic.run()).archived_rows == 5
    for name in ("attic.nothing", "core.secrets"):
        with pytest.raises(BadSettings, match=f"no rows leave '{name}' .*core.outbox"):
            check(load({"ENTREPOT_RETENTION_DAYS": f'{{"{name}": 5}}'}), Apps((CORE,)))


async def test_rows_without_archive_just_go(attic: Attic) -> None:
    await attic.owner.execute(
        "INSERT INTO attic.scraps SELECT i, $1 FROM generate_series(1, 4500) i", NOW - timedelta(2)
    )
    await attic.owner.execute("INSERT INTO attic.scraps VALUES (0, $1)", NOW)
    done = await attic.run()
    assert (done.removed_rows, done.archives) == (4500, 0)
    assert len(await attic.image("scraps")) == 1


async def test_old_partitions_leave_as_a_whole(attic: Attic) -> None:
    await attic.add_readings(days=14, a_day=40)
    before = await attic.image("readings")
    done = await attic.run()
    assert (done.dropped_partitions, done.failures) == (4, [])
    kept = await attic.image("readings")
    assert len(kept) == len(before) - done.archived_rows
    names = await attic.owner.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'attic.readings'::regclass"
    )
    assert len(names) == 11
    assert {row["state"] for row in await attic.ledger()} == {"removed"}


async def test_the_manifest_lets_a_stranger_understand_the_archive(attic: Attic, tmp_path: Path) -> None:
    await add_things(attic, 3)
    await attic.run()
    (archive,) = await attic.ledger()
    manifest = msgspec.json.decode((tmp_path / f"attic/things/{archive['id']}.json").read_bytes(), type=Manifest)
    assert (manifest.app, manifest.table, manifest.rows, manifest.schema_revision) == (
        "attic",
        "things",
        3,
        "attic_0007",
    )
    assert manifest.content_hash == archive["content_hash"].hex()
    assert {"money": "numeric(20,6)", "tags": "text[]", "mood": "attic.mood"}.items() <= {
        column.name: column.type for column in manifest.columns
    }.items()
    assert [column.name for column in manifest.columns if column.key] == ["id", "part"]


async def test_nothing_leaves_before_a_proven_backup_covers_it(database: TestDatabase, tmp_path: Path) -> None:
    async with opened(database, tmp_path, retention_needs_backup=True) as attic:
        await add_things(attic, 10)
        await attic.add_readings(days=12, a_day=2)
        await attic.backup()
        done = await attic.run()
        assert (done.archives, done.waiting, done.removed_rows) == (3, 3, 0), "the backup is older than the archives"
        done = await attic.run()
        assert (done.archives, done.waiting, done.removed_rows) == (0, 3, 0), "nothing is archived twice"
        assert len(await attic.image("things")) == 10
        await attic.backup()
        done = await attic.run()
        assert (done.archives, done.waiting, done.removed_rows, done.dropped_partitions) == (0, 0, 13, 2)
        assert await attic.image("things") == []


async def test_what_waits_for_its_backup_does_not_keep_what_is_younger(database: TestDatabase, tmp_path: Path) -> None:
    async with opened(database, tmp_path, retention_needs_backup=True) as attic:
        await add_things(attic, 10)
        await attic.run()
        await add_things(attic, 10, age="29 days", first=100)
        done = await attic.run(NOW + timedelta(days=3))
        assert (done.archives, done.archived_rows, done.waiting) == (1, 10, 2)
        await attic.backup()
        assert (await attic.run(NOW + timedelta(days=3))).removed_rows == 20


async def test_a_row_that_was_changed_after_it_was_archived_stays(database: TestDatabase, tmp_path: Path) -> None:
    async with opened(database, tmp_path, retention_needs_backup=True) as attic:
        await add_things(attic, 6)
        await attic.run()
        await attic.owner.execute("UPDATE attic.things SET words = 'changed' WHERE id = 2")
        await attic.owner.execute("UPDATE attic.things SET state = 'open' WHERE id = 3")
        await attic.owner.execute("DELETE FROM attic.things WHERE id = 4")
        await attic.owner.execute("INSERT INTO attic.labels VALUES (1, 5)")
        await attic.backup()
        assert (await attic.run()).removed_rows == 2
        first = (await attic.ledger())[0]
        assert (first["state"], len(first["spared"])) == ("removed", 4)
        assert {row["id"] for row in await attic.owner.fetch("SELECT id FROM attic.things")} == {2, 3, 5}


async def test_a_partition_that_was_written_to_after_it_was_archived_is_archived_anew(
    database: TestDatabase, tmp_path: Path
) -> None:
    async with opened(database, tmp_path, retention_needs_backup=True) as attic:
        await attic.add_readings(days=11, a_day=10)
        await attic.run()
        await attic.owner.execute("INSERT INTO attic.readings VALUES (-1, $1)", NOW - timedelta(days=10, hours=12))
        before = await attic.image("readings")
        await attic.backup()
        assert (await attic.run()).dropped_partitions == 0
        assert await attic.image("readings") == before
        await attic.backup()
        done = await attic.run()
        assert (done.dropped_partitions, done.failures) == (1, [])
        assert [row["state"] for row in await attic.ledger()] == ["void", "removed"]
        assert len(list((tmp_path / "attic/readings").iterdir())) == 2, "the object that did not count is gone"


async def test_archives_go_when_their_cold_time_is_over(attic: Attic, tmp_path: Path) -> None:
    await attic.add_readings(days=11, a_day=3)
    await attic.run()
    assert (await attic.run(NOW + timedelta(days=50))).expired_archives == 0
    await attic.owner.execute("UPDATE core.archives SET removed_at = $1 WHERE rows = 1", NOW)
    done = await attic.run(NOW + timedelta(days=101))
    assert done.expired_archives == 1
    assert "expired" in {row["state"] for row in await attic.ledger()}
    expired = next(row["id"] for row in await attic.ledger() if row["state"] == "expired")
    assert not (tmp_path / f"attic/readings/{expired}.parquet").exists()


async def test_a_run_that_has_no_time_left_says_so_and_the_next_one_ends_it(attic: Attic) -> None:
    await add_things(attic, 10)
    done = await attic.run(seconds=-1)
    assert (done.is_finished, done.archives) == (False, 0)
    done = await attic.run()
    assert (done.is_finished, done.removed_rows) == (True, 10)


async def test_two_runs_at_once_do_no_harm(attic: Attic) -> None:
    """The lease keeps them apart; one that lost it and does not know must not harm either."""
    await add_things(attic, 9_000)
    await attic.add_readings(days=16, a_day=300)
    before = [await attic.image("things"), await attic.image("readings")]
    for _ in range(3):
        both = [asyncio.create_task(attic.run()) for _ in range(2)]
        await asyncio.wait(both)
    assert (await attic.run()).failures == []
    for row in await attic.ledger():
        if row["state"] == "removed":
            await restoring.restore(attic.database, attic.archives, attic.apps, row["id"])
    assert [await attic.image("things"), await attic.image("readings")] == before
