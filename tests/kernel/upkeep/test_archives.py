"""Archives bring back what they took, exactly, from wherever they are kept; and tell when they cannot."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import sleep
from uuid import UUID

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from entrepot.kernel.db.database import Database
from entrepot.kernel.store.archives import Writing
from entrepot.kernel.upkeep.archive import making, restoring
from entrepot.kernel.upkeep.archive.parquet import Writer
from entrepot.kernel.upkeep.archive.refusals import NoSuchArchive, NotRemoved, NotTheArchive
from tests.conftest import TestDatabase
from tests.kernel.upkeep.attic import NOW, Attic, opened

EXTREMES = r"""
    INSERT INTO attic.things VALUES
    (1, '2020-01-01', 'done', -32768, -2147483648, 'NaN', 12345678901234.567891, 'NaN', '-Infinity', true, 'ünïcødé 🚢',
     'ab', E'line\r\nbreak "quoted", \\. tab\t', '\x00ff00', 'infinity', '24:00', '12:00:00.5+05:30', '-infinity',
     '-1 year 2 mons -3 days 04:05:06.789', '00000000-0000-0000-0000-000000000000', '{"b":  1, "a": 1, "a": 2}',
     '{"n": 1e400, "deep": [null, {"ø": "\"\n"}]}', ARRAY['', NULL, 'NULL', 'a,b', '"', '{}'],
     '[0:1][-1:0]={{1,2},{3,NULL}}', '[2020-01-01,infinity)', '::1/64', '"sad"', B'1011', DEFAULT, 'k,"1'),
    (2, '-infinity', 'done', 32767, 2147483647, 1e-1000, -0.000001, '-0', 5e-324, false, '', '', '', '',
     '4714-11-24 BC', '00:00', '00:00+15:59:59', '4714-11-24 00:00:00 BC', '0',
     'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null', 'null', '{}', '{}', 'empty', '0.0.0.0', 'glad', B'', DEFAULT, ''),
    (9223372036854775807, '2020-01-01 00:00:00.000001+00', 'done', 0, 0, 10::numeric ^ 200 + 0.5, 0, 3.4028235e38,
     1.7976931348623157e308, NULL, ' ', '      ', E'\\N', '\x5c4e', '5874897-12-31', '23:59:59.999999', '00:00-15:59',
     'infinity', '178000000 years', NULL, '"text"', '"text"', ARRAY[E'\n', '\'], '{{{1}},{{2}}}'::int[], '(,)',
     '10.0.0.0/8', 'so, so', B'0', DEFAULT, 'x'),
    (-9223372036854775808, '0044-03-15 12:00:00+00 BC', 'done', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, DEFAULT, 'y')
"""

LONG = """
    INSERT INTO attic.things (id, at, words)
    SELECT i, $1::timestamptz + i * interval '1 ms', repeat(md5(i::text), 600) FROM generate_series(1, 300) i
"""


@pytest.fixture
async def attic(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Attic]:
    async with opened(database, tmp_path) as made:
        yield made


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a real S3 server, by the variables that the clouds' own tools read."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield f"http://{host}:{port}"
    server.stop()


async def restore(attic: Attic, archive: UUID) -> int:
    return await restoring.restore(attic.database, attic.archives, attic.apps, archive)


async def restore_all(attic: Attic) -> int:
    removed = [row["id"] for row in await attic.ledger() if row["state"] == "removed"]
    return sum([await restore(attic, each) for each in removed])


async def fault(attic: Attic) -> str | None:
    async with attic.database.read() as db:
        return await restoring.fault(attic.archives, await restoring.found(db, (await attic.ledger())[0]["id"]))


async def test_every_type_comes_back_as_it_was(attic: Attic) -> None:
    await attic.owner.execute(EXTREMES)
    before = await attic.image("things")
    assert (await attic.run()).removed_rows == 4
    assert await attic.image("things") == []
    assert await restore_all(attic) == 4
    assert await attic.image("things") == before


@pytest.mark.parametrize(
    "setting", ["DateStyle = 'SQL, DMY'", "IntervalStyle = 'iso_8601'", "TimeZone = 'Asia/Kolkata'"]
)
async def test_rows_come_back_to_a_database_that_writes_times_in_another_way(
    setting: str, database: TestDatabase, tmp_path: Path
) -> None:
    owner = await asyncpg.connect(database.owner_url)
    altered = f"ALTER DATABASE {await owner.fetchval('SELECT current_database()')}"
    await owner.execute(f"{altered} SET {setting}")
    async with opened(database, tmp_path) as attic:
        await attic.owner.execute(EXTREMES)
        await attic.add_readings(days=12, a_day=3)
        before = [await attic.image(table) for table in ("things", "readings")]
        assert (await attic.run()).failures == []
        await owner.execute(f"{altered} RESET ALL")
        async with Database(database.url, attic.settings) as fresh:
            for row in await attic.ledger():
                await restoring.restore(fresh, attic.archives, attic.apps, row["id"])
        assert [await attic.image(table) for table in ("things", "readings")] == before
    await owner.close()


async def test_a_partition_comes_back_with_its_rows(attic: Attic) -> None:
    await attic.add_readings(days=13, a_day=30)
    before = await attic.image("readings")
    done = await attic.run()
    assert len(await attic.image("readings")) == len(before) - done.removed_rows
    assert await restore_all(attic) == done.removed_rows
    assert await attic.image("readings") == before
    assert (await attic.run()).removed_rows == done.removed_rows, "the next run takes them out again"
    assert len(await attic.image("readings")) == len(before) - done.removed_rows


async def test_rows_of_many_pieces_come_back_as_they_were(
    attic: Attic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long each stage takes of each of them."""
    write, pieces = Writer.write, count()

    def slowly(writer: Writer, table: pa.Table) -> None:
        sleep(0.01 * (next(pieces) % 2))
        write(writer, table)

    monkeypatch.setattr(making, "PIECE", 100_000)
    monkeypatch.setattr(Writer, "write", slowly)
    await attic.owner.execute(LONG, NOW - timedelta(40))
    before = await attic.image("things")
    done = await attic.run()
    assert (done.removed_rows, done.failures) == (300, [])
    (archive,) = await attic.ledger()
    assert pq.ParquetFile(tmp_path / f"attic/things/{archive['id']}.parquet").num_row_groups > 10
    assert await restore_all(attic) == 300
    assert await attic.image("things") == before


@pytest.mark.parametrize(("size", "bad"), [(100_000, 5), (making.PIECE, 0)])
async def test_a_piece_that_cannot_be_written_keeps_all_of_them(
    size: int, bad: int, attic: Attic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "PIECE", size)
    await attic.owner.execute(LONG, NOW - timedelta(40))
    before, write, pieces = await attic.image("things"), Writer.write, count()

    def badly(writer: Writer, table: pa.Table) -> None:
        if next(pieces) == bad:
            raise OSError("no space left")
        write(writer, table)

    monkeypatch.setattr(Writer, "write", badly)
    done = await attic.run()
    assert (done.removed_rows, len(done.failures), "no space left" in done.failures[0]) == (0, 1, True)
    assert await attic.image("things") == before
    assert (await attic.run()).removed_rows == 300


async def test_what_was_changed_before_it_left_is_not_brought_back(database: TestDatabase, tmp_path: Path) -> None:
    async with opened(database, tmp_path, retention_needs_backup=True) as attic:
        await attic.owner.execute(
            "INSERT INTO attic.things (id, at) SELECT i, $1 FROM generate_series(1, 9) i", NOW - timedelta(40)
        )
        await attic.run()
        await attic.owner.execute("UPDATE attic.things SET words = 'new' WHERE id IN (3, 8)")
        before = await attic.image("things")
        await attic.backup()
        await attic.run()
        assert await restore_all(attic) == 7
        assert await attic.image("things") == before


async def test_rows_can_be_looked_at_in_a_table_of_their_own(attic: Attic, database: TestDatabase) -> None:
    await attic.owner.execute(EXTREMES)
    before = await attic.image("things")
    await attic.run()
    (archive,) = await attic.ledger()
    async with Database(database.owner_url, attic.settings) as owned:
        assert await restoring.restore(owned, attic.archives, attic.apps, archive["id"], "seen") == 4
    assert await attic.image("seen") == before
    assert await attic.image("things") == []
    assert (await attic.ledger())[0]["state"] == "removed"


async def test_rows_come_back_once(attic: Attic) -> None:
    await attic.owner.execute(EXTREMES)
    await attic.run()
    (archive,) = await attic.ledger()
    both = await asyncio.gather(restore(attic, archive["id"]), restore(attic, archive["id"]), return_exceptions=True)
    assert sorted(type(each).__name__ for each in both) == ["NotRemoved", "int"]
    with pytest.raises(NotRemoved):
        await restore(attic, archive["id"])
    with pytest.raises(NoSuchArchive):
        await restore(attic, UUID(int=0))


async def test_rows_that_do_not_fit_any_more_are_not_brought_back_in_part(attic: Attic) -> None:
    await attic.owner.execute(EXTREMES)
    await attic.run()
    await attic.owner.execute("INSERT INTO attic.things (id, part) VALUES (2, '')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await restore_all(attic)
    assert len(await attic.image("things")) == 1
    assert (await attic.ledger())[0]["state"] == "removed"


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "manifest", "other"])
async def test_an_archive_that_is_damaged_is_told_and_not_restored(damage: str, attic: Attic, tmp_path: Path) -> None:
    await attic.owner.execute(EXTREMES)
    await attic.run()
    assert await fault(attic) is None
    (object_,) = (tmp_path / "attic/things").glob("*.parquet")
    content = object_.read_bytes()
    if damage == "flip":
        object_.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif damage == "cut":
        object_.write_bytes(content[: len(content) // 2])
    elif damage == "remove":
        object_.unlink()
    elif damage == "manifest":
        object_.with_suffix(".json").write_text("{}")
    else:
        table = pq.read_table(object_)
        pq.write_table(table.slice(1), object_)
    assert await fault(attic) is not None
    with pytest.raises(NotTheArchive):
        await restore_all(attic)


@pytest.mark.parametrize("change", ["garbles", "loses a row", "swaps a value"])
async def test_a_store_that_changes_what_it_keeps_is_found_out_before_anything_leaves(
    change: str, attic: Attic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await attic.owner.execute(EXTREMES)
    keep = Writing.keep

    def badly(writing: Writing) -> None:
        keep(writing)
        (kept,) = (tmp_path / "attic/things").glob("*.parquet")
        table = pq.read_table(kept)
        if change == "garbles":
            kept.write_bytes(kept.read_bytes()[:-1] + b"!")
        elif change == "loses a row":
            pq.write_table(table.slice(1), kept)
        else:
            pq.write_table(table.set_column(2, table.schema.field(2), pa.array(["gone"] * 4)), kept)

    monkeypatch.setattr(Writing, "keep", badly)
    done = await attic.run()
    assert (done.removed_rows, len(done.failures)) == (0, 1)
    assert len(await attic.image("things")) == 4
    (archive,) = await attic.ledger()
    assert archive["state"] == "void"
    assert archive["error"]
    assert list((tmp_path / "attic/things").iterdir()) == [], "what does not count does not stay"


async def test_who_finds_that_its_archive_was_given_up_takes_its_object_away(
    attic: Attic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a pause in which another run held its lease, and cleared what was not there yet."""
    await attic.owner.execute(EXTREMES)
    keep, here = Writing.keep, asyncio.get_running_loop()

    def late(writing: Writing) -> None:
        gone = attic.owner.execute("UPDATE core.archives SET state = 'void', cleared_at = now()")
        asyncio.run_coroutine_threadsafe(gone, here).result()
        keep(writing)

    monkeypatch.setattr(Writing, "keep", late)
    done = await attic.run()
    assert (done.removed_rows, len(done.failures)) == (0, 1)
    assert len(await attic.image("things")) == 4
    assert list((tmp_path / "attic/things").iterdir()) == []


async def test_a_store_that_is_away_keeps_everything_where_it_is(database: TestDatabase, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    async with opened(database, folder) as attic:
        await attic.owner.execute(EXTREMES)
        folder.rmdir()
        folder.write_text("this is no folder any more")
        done = await attic.run()
        assert len(done.failures) >= 1
        assert len(await attic.image("things")) == 4
        folder.unlink()
        assert (await attic.run()).removed_rows == 4


async def test_archives_in_a_bucket_are_the_same(bucket: str, database: TestDatabase) -> None:
    boto = pytest.importorskip("boto3").client("s3", endpoint_url=bucket)
    boto.create_bucket(Bucket="attic")
    async with opened(database, Path("/"), archives_url="s3://attic/kept") as attic:
        await attic.owner.execute(EXTREMES)
        await attic.add_readings(days=12, a_day=30)
        before = [await attic.image(table) for table in ("things", "readings")]
        assert (await attic.run()).failures == []
        names = [each["Key"] for each in boto.list_objects_v2(Bucket="attic")["Contents"]]
        assert len(names) == 2 * len(await attic.ledger())
        assert await fault(attic) is None
        await restore_all(attic)
        assert [await attic.image(table) for table in ("things", "readings")] == before
