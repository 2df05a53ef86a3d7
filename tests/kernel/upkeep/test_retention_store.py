"""What the store lost while archives waited for a backup, or after a restore, does not let rows go."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.conftest import TestDatabase
from tests.kernel.upkeep.attic import NOW, Attic, opened

ADD = "INSERT INTO attic.things (id, at) SELECT i, $1::timestamptz - interval '60 days' FROM generate_series(1, {}) i"


@pytest.fixture
async def attic(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Attic]:
    async with opened(database, tmp_path, retention_needs_backup=True) as made:
        await made.owner.execute(ADD.format(10), NOW)
        await made.add_readings(days=11, a_day=10)
        await made.run()
        yield made


def lose(path: Path) -> None:
    path.unlink()


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)


def damage_all(folder: Path, kind: str, damage: Callable[[Path], None]) -> None:
    for path in [*folder.rglob(f"*.{kind}")]:
        damage(path)


@pytest.mark.parametrize("damage", [lose, spoil])
@pytest.mark.parametrize("kind", ["parquet", "json"])
async def test_nothing_leaves_whose_archive_is_not_there_any_more(
    attic: Attic, tmp_path: Path, damage: Callable[[Path], None], kind: str
) -> None:
    before = [await attic.image("things"), await attic.image("readings")]
    damage_all(tmp_path, kind, damage)
    await attic.backup()
    done = await attic.run()
    assert (done.removed_rows, done.dropped_partitions) == (0, 0)
    assert [each.partition("is not what was proven")[1] != "" for each in done.failures] == [True, True]
    assert [await attic.image("things"), await attic.image("readings")] == before
    assert (done.archives, (await attic.run()).waiting) == (2, 2), "what was lost is archived anew, and waits again"
    await attic.backup()
    done = await attic.run()
    assert (done.failures, done.dropped_partitions, await attic.image("things")) == ([], 1, [])
    assert len(await attic.image("readings")) == len(before[1]) - done.removed_rows + 10


async def test_rows_stop_leaving_when_their_archive_is_damaged_meanwhile(attic: Attic, tmp_path: Path) -> None:
    """What left by it before is told of, and what did not stays."""
    await attic.backup()
    await attic.owner.execute("UPDATE core.archives SET state = 'removing', position = 4 WHERE partition IS NULL")
    await attic.owner.execute("DELETE FROM attic.things WHERE id <= 4")
    damage_all(tmp_path / "attic/things", "parquet", spoil)
    done = await attic.run()
    assert len(done.failures) == 1
    assert len(await attic.image("things")) == 6
    assert done.dropped_partitions == 1, "other tables are not kept by it"
