"""Backups: taken whole or by difference, carried on by the WAL, brought back to any moment, sealed, and pruned."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest

from entrepot.dev import postgres
from entrepot.kernel import clock
from entrepot.kernel.db.database import Database
from entrepot.kernel.upkeep.backup import wal, work
from entrepot.kernel.upkeep.backup.create import create
from entrepot.kernel.upkeep.backup.dump import dump
from entrepot.kernel.upkeep.backup.model import Backup, BackupFailed, Kind
from entrepot.kernel.upkeep.backup.programs import Programs, environment, find
from entrepot.kernel.upkeep.backup.prune import needed_from, prune
from entrepot.kernel.upkeep.backup.restore import on_the_way, restore
from entrepot.kernel.values import new_id
from tests.kernel.upkeep.cellar import APPS, KEYS, Cellar, cellar, server

__all__ = ["cellar", "server"]
NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
WEEK = timedelta(days=7)


async def test_a_backup_its_increments_and_the_wal_bring_back_what_was_committed_by_then(cellar: Cellar) -> None:
    settings = cellar.settings(backup_keys=KEYS)
    async with cellar.archiving(settings):
        await cellar.commit("before all")
        for kind, note in ((Kind.FULL, "in the WAL of the full"), (Kind.INCREMENTAL, "in the next increment")):
            assert (await create(settings, incremental=kind is Kind.INCREMENTAL)).kind is kind
            await cellar.commit(note)
        second = await create(settings, incremental=True)
        between = await cellar.commit("the first transaction")
        async with cellar.connected() as db, db.transaction():
            await db.execute("INSERT INTO public.notes VALUES ('the second transaction')")
            lsn = await db.fetchval("SELECT pg_current_wal_insert_lsn()::text")  # of its commit
        await cellar.archived()
    first = ["before all", "in the WAL of the full", "in the next increment", "the first transaction"]
    assert second.kind is Kind.INCREMENTAL
    assert await cellar.restored(between.isoformat(), backup_keys=KEYS) == first
    assert await cellar.restored(lsn, backup_keys=KEYS) == first


async def test_another_machine_goes_on_with_the_archive_without_losing_a_segment(cellar: Cellar) -> None:
    async with cellar.archiving():
        await create(cellar.settings())
        await cellar.commit("archived here")
        await cellar.archived()
    async with cellar.connected() as db:
        await db.execute("DROP TABLE IF EXISTS bulk; CREATE TABLE bulk AS SELECT generate_series(1, 100000) AS i")
        await db.execute("SELECT pg_switch_wal()")
        await db.execute("CHECKPOINT")
        await db.execute("DROP TABLE bulk; SELECT pg_switch_wal(); CHECKPOINT")
    last = await cellar.commit("while nobody archived")
    shutil.rmtree(cellar.folder / "home")
    async with cellar.archiving():
        await cellar.archived()
    assert (await cellar.restored(last.isoformat()))[-1] == "while nobody archived"


async def test_a_time_that_no_backup_reaches_is_refused_with_what_there_is(cellar: Cellar) -> None:
    before = await cellar.commit("too early")
    await create(cellar.settings())
    with pytest.raises(BackupFailed, match="no backup is as old as"):
        await cellar.restored(before.isoformat())
    folder = cellar.folder / "late"
    with pytest.raises(BackupFailed, match="recovery to 2099.* failed"):
        await restore(cellar.settings(), folder, "2099-01-01T00:00:00Z")
    assert list(folder.iterdir()) == [], "no server can be started from what is not what was asked for"
    with pytest.raises(BackupFailed, match="neither a time"):
        await cellar.restored("yesterday")


async def test_backups_of_a_history_that_was_left_are_no_way_to_what_came_after(cellar: Cellar) -> None:
    first, second = await create(cellar.settings()), await create(cellar.settings())
    place = cellar.place
    assert on_the_way(place, [first, second]) == [first, second]
    place.keep("wal/00000002.history.gz", f"1\t{first.end_lsn}\tbefore 2026-01-31 12:00:00+00\n".encode())
    assert on_the_way(place, [first, second]) == [first]
    after = msgspec.structs.replace(second, timeline=2)
    assert on_the_way(place, [first, second, after]) == [first, after]


async def test_a_damaged_page_of_the_server_makes_no_backup(cellar: Cellar, server: postgres.Server) -> None:
    async with cellar.connected() as db:
        await db.execute("DROP TABLE IF EXISTS doomed; CREATE TABLE doomed AS SELECT generate_series(1, 5000) AS i")
        await db.execute("CHECKPOINT")
        path = server.pgdata / await db.fetchval("SELECT pg_relation_filepath('doomed')")
        good = path.read_bytes()
        path.write_bytes(good[:9000] + bytes([good[9000] ^ 1]) + good[9001:])
        try:
            with pytest.raises(BackupFailed, match="checksum"):
                await create(cellar.settings())
        finally:
            path.write_bytes(good)
            await db.execute("DROP TABLE doomed")
    assert not list((cellar.folder / "backups").rglob("backup.json"))


async def test_a_backup_that_is_cancelled_leaves_none_and_no_process(cellar: Cellar) -> None:
    await create(cellar.settings())
    taking = asyncio.create_task(create(cellar.settings()))
    await asyncio.sleep(0.1)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert len(cellar.place.backups()) == 1
    async with cellar.connected() as db, asyncio.timeout(10):
        while await db.fetchval("SELECT count(*) FROM pg_stat_replication"):
            await asyncio.sleep(0.05)
        assert await db.fetchval("SELECT count(*) FROM pg_replication_slots WHERE temporary") == 0


async def test_a_single_table_is_dumped_and_read_back(cellar: Cellar, server: postgres.Server, tmp_path: Path) -> None:
    from_file = tmp_path / "notes.dump"
    await cellar.commit("in the dump")
    assert await dump(cellar.settings(), "public.notes", from_file) == from_file.stat().st_size
    with pytest.raises(BackupFailed, match="is there already"):
        await dump(cellar.settings(), "public.notes", from_file)
    with pytest.raises(BackupFailed, match="no table"):
        await dump(cellar.settings(), "public.nothing", from_file)
    async with cellar.connected() as db:
        await db.execute("CREATE DATABASE elsewhere")
        programs = Programs(find(18))
        env = environment(server.get_uri("elsewhere"))
        await asyncio.to_thread(programs.run, "pg_restore", "-d", "elsewhere", from_file, env=env)
        elsewhere = await asyncpg.connect(server.get_uri("elsewhere"))
        assert await elsewhere.fetchval("SELECT count(*) FROM notes WHERE note = 'in the dump'") == 1
        await elsewhere.close()
        await db.execute("DROP DATABASE elsewhere")


def made(days: float, kind: Kind, parent: UUID | None, base: Backup) -> Backup:
    """A backup so many days before now."""
    segment = int(1000 - days * 10)
    return msgspec.structs.replace(
        base,
        id=new_id(),
        kind=kind,
        parent=parent,
        ended_at=NOW - timedelta(days=days),
        start_lsn=f"{segment * 16 >> 12:X}/{(segment * 16 << 20) & 0xFFFFFFFF:X}",
    )


def history(base: Backup, days: range) -> list[Backup]:
    """A full backup a day, and an incremental one half a day later."""
    found = []
    for day in sorted(days, reverse=True):
        full = made(day + 0.04, Kind.FULL, None, base)
        found += [full, made(day - 0.5, Kind.INCREMENTAL, full.id, base)]
    return found


async def test_pruning_keeps_what_any_moment_of_the_window_is_restored_from(cellar: Cellar) -> None:
    base = await create(cellar.settings())
    there = history(base, range(1, 15))
    first = there[needed_from(there, NOW, WEEK, 7, None)]
    assert first.kind is Kind.FULL
    assert first.ended_at == NOW - timedelta(days=7.04)  # 56 minutes before the window begins
    assert there[needed_from(there, NOW, WEEK, 12, None)].ended_at == NOW - timedelta(days=12.04)
    proven = there[3]
    assert proven.kind is Kind.INCREMENTAL
    assert there[needed_from(there, NOW, WEEK, 7, proven.id)].id == proven.parent
    young = history(base, range(1, 4))
    assert needed_from(young, NOW, WEEK, 1, None) == 0


async def test_pruning_removes_the_rest_with_its_wal_and_nothing_else(cellar: Cellar) -> None:
    base = await create(cellar.settings())
    place = cellar.place
    place.remove(f"backups/{base.id}/backup.json")
    there = history(base, range(1, 15))
    for backup in there:
        place.note(backup)
        place.keep(f"backups/{backup.id}/base.tar.gz", b"its files")
        place.keep(
            f"wal/{backup.timeline:08X}{backup.first_segment // 256:08X}{backup.first_segment % 256:08X}.gz", b""
        )
    gone = prune(place, NOW, WEEK, 7, None)
    kept = [backup.id for backup in place.backups()]
    assert kept == [backup.id for backup in there if backup.ended_at >= NOW - timedelta(days=7.04)]
    assert set(gone.backups) == {backup.id for backup in there} - set(kept)
    assert len(place.segments()) == len(kept)
    assert len(place.names("backups")) == 3 * len(kept) + 3  # of the one that was begun, its files
    assert prune(place, NOW, WEEK, 7, None).backups == ()


async def test_what_a_killed_backup_left_goes_when_it_is_old(cellar: Cellar) -> None:
    whole, cut_off = await create(cellar.settings()), await create(cellar.settings())
    place = cellar.place
    place.remove(f"backups/{cut_off.id}/backup.json")
    part = cellar.file(f"backups/{new_id()}/base.tar.gz#1")  # an upload, as obstore writes it
    part.parent.mkdir()
    part.touch()
    assert prune(place, clock.now(), WEEK, 1, None).left_over == 0
    assert prune(place, clock.now() + timedelta(days=8), WEEK, 1, None).left_over == 4
    assert {name.partition("/")[0] for name in place.names("backups")} == {str(whole.id)}
    assert not part.exists()
    assert len(place.names("backups")) == 4


async def test_the_ledger_tells_what_was_made_and_no_one_can_change_it(cellar: Cellar) -> None:
    settings = cellar.settings()
    async with Database(settings.database_url, settings) as database:
        backup = await work.make(settings, database)
    async with cellar.connected() as db:
        row = await db.fetchrow("SELECT * FROM core.backups WHERE id = $1", backup.id)
        assert row is not None
        assert (row["kind"], row["end_lsn"], row["sha256"].hex()) == ("full", backup.end_lsn, backup.sha256)


async def test_the_daily_backup_is_made_once_and_made_up_for(cellar: Cellar) -> None:
    settings = cellar.settings(backup_hourly=True)
    async with Database(settings.database_url, settings) as database:
        for _ in range(3):
            await work.hourly(settings, database)
    assert [backup.kind for backup in cellar.place.backups()] == [Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL]
    full = msgspec.structs.replace(cellar.place.backups()[0], began_at=NOW - timedelta(hours=0.5))
    assert not work.needs_full([full], NOW, 1)  # 01:30, and the hour struck at 01:00
    assert work.needs_full([full], NOW + timedelta(days=1), 1)
    assert work.needs_full([msgspec.structs.replace(full, began_at=NOW - timedelta(hours=2))], NOW, 1)
    assert not work.needs_full([msgspec.structs.replace(full, began_at=NOW - timedelta(hours=2))], NOW, 3)


async def test_without_a_place_of_their_own_no_backup_is_made_by_itself(cellar: Cellar) -> None:
    settings = cellar.settings(backup_url="")
    async with Database(settings.database_url, settings) as database:
        await work.hourly(settings, database)
        await work.weekly(settings, database, APPS)
    assert wal.over(settings) == ()
    assert not list(cellar.folder.rglob("*.gz"))
