"""A backup is what was restored: verification proves what is whole, and finds each kind of damage."""

import asyncio
import hashlib
import io
import itertools
import re
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic

import asyncpg
import msgspec
import pytest

from entrepot.kernel import clock
from entrepot.kernel.db.database import Database
from entrepot.kernel.upkeep.backup import work
from entrepot.kernel.upkeep.backup.create import create
from entrepot.kernel.upkeep.backup.mark import SAME_TEXT, contents, marked, tables
from entrepot.kernel.upkeep.backup.model import Backup, BackupFailed, Kind, Outcome, Proof, segment_number
from entrepot.kernel.upkeep.backup.place import bytes_of, place_of
from entrepot.kernel.upkeep.backup.verify import differences, verify
from entrepot.kernel.upkeep.evidence import covered
from entrepot.kernel.values import new_id
from tests.kernel.upkeep.cellar import APPS, Cellar, cellar, server

__all__ = ["cellar", "server"]
SCHEMAS = [app.name for app in APPS]
ADD_PROFILE = "INSERT INTO escrow.user_profiles (wallet, public_key) VALUES ($1, '')"
RENAME = "UPDATE escrow.user_profiles SET display_name = $2 WHERE wallet = $1"


def wallet() -> str:
    return "0x" + new_id().hex + "00000000"


@asynccontextmanager
async def trading(url: str, writers: int = 4) -> AsyncIterator[list[float]]:
    """Writers without pause, each of whose transactions touches two tables; yields how long each took, in seconds."""
    taken: list[float] = []

    async def write(connection: asyncpg.Connection) -> None:
        mine = wallet()
        await connection.execute(ADD_PROFILE, mine)
        for count in itertools.count():
            began = monotonic()
            async with connection.transaction():
                await connection.execute(RENAME, mine, str(count))
                await connection.execute(ADD_PROFILE, wallet())
                await connection.execute("INSERT INTO escrow.words VALUES ($1)", new_id().hex)
            taken.append(monotonic() - began)
            await asyncio.sleep(0.005)

    connections = [await asyncpg.connect(url) for _ in range(writers)]
    tasks = [asyncio.create_task(write(connection)) for connection in connections]
    try:
        yield taken
        assert not [each for each in tasks if each.done()]
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in connections:
            connection.terminate()


async def proven(cellar: Cellar) -> Proof:
    return await verify(cellar.settings(), APPS, patience=20)


async def test_a_backup_under_load_is_proven_equal_to_the_primary_at_one_lsn(cellar: Cellar) -> None:
    settings = cellar.settings()
    async with cellar.archiving(), Database(cellar.url, settings) as database, trading(cellar.url) as taken:
        before = clock.now()
        await work.make(settings, database)
        await work.make(settings, database, incremental=True)
        proof = await work.prove(settings, database, APPS)
        assert proof.findings == ()
        assert proof.tables >= 25
        assert proof.rows > 100
        async with database.read() as db:
            assert await covered(db, before)
            assert not await covered(db, clock.now())
    assert len(taken) > 100
    assert max(taken) < 5, "verification kept a writer waiting"
    async with cellar.connected() as owner:
        assert await owner.fetchval("SELECT count(*) FROM core.backup_proofs WHERE id = $1", proof.id) == 1


async def test_a_mark_sees_what_was_committed_before_it_and_nothing_else(cellar: Cellar) -> None:
    """Two marks with one row between them differ by that row; without one they do not, though writers go on."""
    async with cellar.connected() as owner:
        await owner.execute(SAME_TEXT)
        async with marked(cellar.owner_url, SCHEMAS) as (first, reader):
            await owner.execute(ADD_PROFILE, wallet())
            seen = await contents(reader, first.tables)
            async with marked(cellar.owner_url, SCHEMAS) as (second, other):
                assert second.lsn > first.lsn
                rows = await contents(other, second.tables)
            now = await contents(owner, await tables(owner, SCHEMAS))
    assert rows == now
    count = seen["escrow.user_profiles"].rows
    assert differences(seen, rows) == [f"escrow.user_profiles has {count} rows, and {count + 1} in the copy"]


async def test_a_mark_waits_for_whoever_is_writing(cellar: Cellar) -> None:
    async def count() -> int:
        async with marked(cellar.owner_url, SCHEMAS) as (mark, reader):
            return (await contents(reader, mark.tables))["escrow.user_profiles"].rows

    before = await count()
    async with cellar.connected() as writer:
        async with writer.transaction():
            await writer.execute(ADD_PROFILE, wallet())
            counting = asyncio.create_task(count())
            await asyncio.sleep(0.5)
            assert not counting.done()
        assert await counting == before + 1


async def test_a_row_that_is_not_the_same_is_told(cellar: Cellar) -> None:
    async with cellar.connected() as owner:
        await owner.execute(SAME_TEXT)
        mine = wallet()
        await owner.execute(ADD_PROFILE, mine)
        before = await contents(owner, await tables(owner, SCHEMAS))
        await owner.execute(RENAME, mine, "another")
        after = await contents(owner, await tables(owner, SCHEMAS))
    assert differences(before, after) == ["escrow.user_profiles has other rows in the copy"]
    del after["escrow.words"]
    assert "escrow.words is missing in the copy" in differences(before, after)


Damage = Callable[[Cellar], Awaitable[None]]


async def flip_a_byte(cellar: Cellar) -> None:
    """Of what lies in the store."""
    (path, *_) = sorted((cellar.folder / "backups").rglob("base.tar.gz"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def flip_a_byte_of_a_file(cellar: Cellar) -> None:
    """Of a page of a table, by somebody whose tar is whole."""
    flip_in(cellar, cellar.place.backups()[0])


async def flip_a_byte_and_agree(cellar: Cellar) -> None:
    """And who tells the SHA-256 of that tar."""
    backup = cellar.place.backups()[0]
    place = place_of(cellar.settings(), backup.cluster.system)
    place.note(msgspec.structs.replace(backup, sha256=flip_in(cellar, backup)))


def flip_in(cellar: Cellar, backup: Backup) -> str:
    """Flips a byte in the largest file; the SHA-256 of the tar now."""
    place, name = place_of(cellar.settings(), backup.cluster.system), f"backups/{backup.id}/base.tar.gz"
    content = bytearray(bytes_of(place.read(name)))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        largest = max((each for each in tar if each.name.startswith("base/")), key=lambda each: each.size)
    content[largest.offset_data + largest.size // 2] ^= 1
    place.keep(name, bytes(content))
    return hashlib.sha256(content).hexdigest()


async def truncate_the_increment(cellar: Cellar) -> None:
    path = cellar.file(f"backups/{cellar.place.backups()[-1].id}/base.tar.gz")
    path.write_bytes(path.read_bytes()[:-1000])


async def lose_the_full_backup(cellar: Cellar) -> None:
    cellar.place.remove(f"backups/{cellar.place.backups()[0].id}/backup.json")


async def lose_a_segment(cellar: Cellar) -> None:
    async with cellar.connected() as db:
        for _ in range(3):
            await db.execute("SELECT pg_logical_emit_message(true, 'test', 'more'); SELECT pg_switch_wal()")
    await cellar.archived()
    last = cellar.place.backups()[-1]
    size = last.cluster.segment_size
    names = [name for name in cellar.place.segments() if segment_number(name, size) > last.last_segment]
    cellar.place.remove(f"wal/{names[0]}.gz")


async def set_another_head(cellar: Cellar) -> None:
    async with cellar.connected() as db:
        await db.execute("UPDATE escrow.alembic_version SET version_num = 'another'")


async def break_an_invariant(cellar: Cellar) -> None:
    async with cellar.connected() as db:
        await db.execute(
            "INSERT INTO escrow.user_profiles (wallet, public_key, total_trades) VALUES ($1, '', 3)", wallet()
        )


MENDING = (
    "UPDATE escrow.alembic_version SET version_num = 'escrow_0001'",
    "DELETE FROM escrow.user_profiles WHERE total_trades = 3",
)


async def made_and_damaged(cellar: Cellar, damage: Damage) -> None:
    await create(cellar.settings())
    await create(cellar.settings(), incremental=True)
    await damage(cellar)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (flip_a_byte, "altered"),
        (flip_a_byte_of_a_file, "is not what the server gave: its SHA-256 differs"),
        (flip_a_byte_and_agree, 'pg_verifybackup: .*checksum mismatch for file "base/'),
        (truncate_the_increment, "cut off"),
        (lose_the_full_backup, "adds to .*, which is missing"),
    ],
)
async def test_verification_finds_what_is_wrong_in_the_place(cellar: Cellar, damage: Damage, told: str) -> None:
    await made_and_damaged(cellar, damage)
    (finding,) = (await proven(cellar)).findings
    assert re.search(told, finding)


async def test_verification_finds_a_segment_that_is_missing(cellar: Cellar) -> None:
    settings = cellar.settings()
    async with cellar.archiving(), Database(cellar.url, settings) as database:
        await made_and_damaged(cellar, lose_a_segment)
        (finding,) = (await proven(cellar)).findings
        assert re.fullmatch("WAL segment [0-9A-F]{16} is missing in the archive", finding)
        assert (await work.standing(settings)).lacks == [(finding, "entrepot backup create")]
        await work.hourly(settings, database)
        assert cellar.place.backups()[-1].kind is Kind.FULL, "behind a gap a full backup is due at once"


async def test_verification_finds_another_schema_and_what_should_never_be_true(cellar: Cellar) -> None:
    settings = cellar.settings()
    try:
        async with cellar.archiving(), Database(cellar.url, settings) as database:
            await made_and_damaged(cellar, set_another_head)
            await break_an_invariant(cellar)
            proof = await work.prove(settings, database, APPS)
            alarms = await work.alarms(settings, database)
            async with database.read() as reader:
                assert not await covered(reader, proof.covers_until)
    finally:
        async with cellar.connected() as db:
            for statement in MENDING:
                await db.execute(statement)
    assert proof.outcome is Outcome.FAILED
    assert [finding.partition(": not so")[0] for finding in proof.findings] == [
        "the schema escrow stands at another, this release's is escrow_0001",
        "escrow: a profile has the trades that its orders make",
    ]
    assert alarms[0] == f"the last verification failed: {proof.findings[0]}"


async def test_an_archive_that_does_not_follow_the_server_proves_nothing(cellar: Cellar) -> None:
    await create(cellar.settings())
    proof = await verify(cellar.settings(), APPS, patience=0)
    assert proof.findings == ("the archive of the WAL is empty; it does not follow the server",)


async def test_a_proof_that_is_too_old_alarms(cellar: Cellar) -> None:
    settings = cellar.settings()
    add = (
        "INSERT INTO core.backup_proofs SELECT gen_random_uuid(), gen_random_uuid(), 'full', '0/0', '0/0', $1, $1,"
        " 'proven', '{}', 1, 1, 1"
    )
    async with cellar.connected() as db, Database(cellar.url, settings) as database:
        await db.execute("TRUNCATE core.backup_proofs")
        assert await work.alarms(settings, database) == ["no backup was ever proven"]
        await db.execute(add, clock.now() - timedelta(days=9))
        assert await work.alarms(settings, database) == ["the last proven backup is 9 days old, and may be 8"]
        await db.execute(add, clock.now() - timedelta(days=7))
        assert await work.alarms(settings, database) == []


async def test_what_a_server_lacks_and_an_archive_that_stands_still_are_told(cellar: Cellar) -> None:
    without_rights = cellar.settings(database_owner_url=cellar.url)
    with pytest.raises(BackupFailed, match="the role may not replicate"):
        await create(without_rights)
    found = await work.standing(without_rights)
    assert [what for what, _ in found.lacks] == ["the role may not replicate", "the role may not read all settings"]
    await create(cellar.settings())
    found = await work.standing(cellar.settings())
    assert (found.lacks, found.notes, found.reach, found.follows) == ([], [], "is empty", False)


async def test_a_role_that_may_replicate_and_look_is_enough_to_back_up(cellar: Cellar) -> None:
    async with cellar.connected() as db:
        await db.execute("CREATE ROLE backup_keeper LOGIN REPLICATION; GRANT pg_monitor TO backup_keeper")
    settings = cellar.settings(database_backup_url=cellar.owner_url.replace("postgres:@", "backup_keeper:@"))
    async with cellar.archiving(settings):
        await create(settings)
        await create(settings, incremental=True)
        assert (await verify(settings, APPS, patience=20)).findings == ()
