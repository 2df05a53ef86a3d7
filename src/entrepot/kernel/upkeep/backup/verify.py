"""Verifying: a backup is restored up to a mark on the primary and compared with it there, and then removed."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from uuid import UUID

import asyncpg

from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import revisions
from entrepot.kernel.upkeep.backup import server
from entrepot.kernel.upkeep.backup.copy import Copy, Target
from entrepot.kernel.upkeep.backup.mark import Content, Mark, contents, contents_of_copy, marked
from entrepot.kernel.upkeep.backup.model import Backup, BackupFailed, Lsn, Outcome, Proof
from entrepot.kernel.upkeep.backup.place import Place, place_of
from entrepot.kernel.upkeep.backup.programs import Programs, apart, find
from entrepot.kernel.upkeep.backup.restore import chain, fetch_wal, on_the_way, recover, unpack
from entrepot.kernel.values import new_id

ARCHIVE_PATIENCE = 60.0  # seconds in which the archive of the WAL must have reached the mark
PAUSE = 0.5
ROOM = "entrepot-verify-"
WITHOUT_CHECKSUMS = "checksums are not enabled"


@dataclass
class Found:
    """What a verification has found so far."""

    wrong: list[str] = field(default_factory=list)
    tables: int = 0
    rows: int = 0


async def verify(
    settings: Settings,
    apps: Apps,
    which: UUID | None = None,
    patience: float = ARCHIVE_PATIENCE,
    *,
    unsealed: bool = False,
) -> Proof:
    """Restores the newest backup, or that one, and says what it found; changes nothing on the primary.

    `unsealed` takes what is not sealed, though there are keys. Raises `BackupFailed` where it cannot begin.
    """
    began, owner = monotonic(), settings.database_owner_url or settings.database_url
    async with server.connected(server.address(settings)) as connection:
        place = place_of(settings, (await server.cluster(connection)).system, unsealed=unsealed)
    backup = await _wanted(place, which)
    programs = Programs(find(backup.cluster.major, settings.postgres_programs))
    found = Found()
    async with marked(owner, [app.name for app in apps]) as (mark, reader):
        try:
            async with _restored(programs, place, backup, mark, patience) as copy:
                await _compare(copy, reader, mark, apps, found)
                await _examine(copy, apps, found)
        except BackupFailed as failed:
            found.wrong.append(failed.what)
    return Proof(
        id=new_id(),
        backup=backup.id,
        kind=backup.kind.value,
        from_lsn=backup.start_lsn,
        to_lsn=str(mark.lsn),
        covers_until=mark.at,
        verified_at=clock.now(),
        outcome=Outcome.FAILED if found.wrong else Outcome.PROVEN,
        findings=tuple(found.wrong),
        tables=found.tables,
        rows=found.rows,
        seconds=monotonic() - began,
    )


async def _wanted(place: Place, which: UUID | None) -> Backup:
    programs = Programs(Path())
    if which is not None:
        return await apart(programs, place.backup, which)
    there = await apart(programs, lambda: on_the_way(place, place.usable()))
    if not there:
        raise BackupFailed("there is no backup of this server", "entrepot backup create")
    return there[-1]


@asynccontextmanager
async def _restored(
    programs: Programs, place: Place, backup: Backup, mark: Mark, patience: float
) -> AsyncIterator[Copy]:
    """A copy that stands at the mark; its files are removed afterwards."""
    await asyncio.to_thread(remove_left_over)
    folder = Path(tempfile.mkdtemp(prefix=ROOM))
    copy = Copy(programs, folder / "data", backup.cluster, folder / "room")
    lock = await asyncio.to_thread(_hold, folder)
    try:
        await apart(programs, _unpack, programs, place, backup, copy.folder)
        await _archived(place, mark, patience)
        await apart(programs, _recover, place, backup, copy, Target(lsn=str(mark.lsn)))
        yield copy
        await asyncio.to_thread(copy.stop, durable=False)
        await apart(programs, _check_pages, copy)
    finally:
        await asyncio.to_thread(copy.close)
        await asyncio.to_thread(shutil.rmtree, folder)
        os.close(lock)


def _hold(folder: Path) -> int:
    """Takes a folder for this process, until it closes the file or ends in any way."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def remove_left_over() -> None:
    """Removes the copies of verifications that were killed; their servers ended with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{ROOM}*"):
        with suppress(OSError):  # another user's, or one that is at work
            lock = os.open(folder / "lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)


def _unpack(programs: Programs, place: Place, backup: Backup, folder: Path) -> None:
    programs.hand_over(folder.parent)
    folder.mkdir(mode=0o700)
    (folder.parent / "room").mkdir(mode=0o700)
    unpack(programs, place, chain(place.backups(), backup), folder)
    # What an operator had set by ALTER SYSTEM may name what is only there on the server's own machine.
    (folder / "postgresql.auto.conf").write_text("")


async def _archived(place: Place, mark: Mark, patience: float) -> None:
    """Waits until the archive has the mark."""
    deadline = monotonic() + patience
    while True:
        position = await asyncio.to_thread(place.position)
        if position is not None and Lsn.parse(position.lsn) >= mark.written:
            return
        if monotonic() > deadline:
            reached = f"ends at {position.lsn}, {position.at:%Y-%m-%d %H:%M:%S} UTC" if position else "is empty"
            raise BackupFailed(f"the archive of the WAL {reached}; it does not follow the server", "entrepot worker")
        await asyncio.sleep(PAUSE)


def _recover(place: Place, backup: Backup, copy: Copy, target: Target) -> None:
    fetch_wal(place, backup, copy.folder, target)
    recover(copy, target)


async def _compare(copy: Copy, primary: asyncpg.Connection, mark: Mark, apps: Apps, found: Found) -> None:
    """Every table, by count and content, with the primary at the mark."""
    schemas = [app.name for app in apps]
    there, here = await asyncio.gather(contents(primary, mark.tables), contents_of_copy(copy.url, schemas))
    found.wrong += differences(there, here)
    found.tables = len(there)
    found.rows = sum(content.rows for content in there.values())


def differences(primary: Mapping[str, Content], copy: Mapping[str, Content]) -> list[str]:
    """In what the copy is not the primary."""
    wrong = [f"{name} is missing in the copy" for name in primary if name not in copy]
    wrong += [f"{name} is in the copy only" for name in copy if name not in primary]
    for name, content in primary.items():
        other = copy.get(name, content)
        if other.rows != content.rows:
            wrong.append(f"{name} has {content.rows} rows, and {other.rows} in the copy")
        elif other.hash != content.hash:
            wrong.append(f"{name} has other rows in the copy")
    return wrong


async def _examine(copy: Copy, apps: Apps, found: Found) -> None:
    """What must be true of every copy by itself."""
    for standing in await revisions.status(copy.url, apps):
        if not standing.is_current:
            found.wrong.append(f"the schema {standing.app} stands at {standing.has}, this release's is {standing.head}")
    async with server.connected(copy.url) as connection:
        found.wrong += await broken(connection, apps)
    arguments = ("-h", copy.room, "-p", "5432", "-U", copy.cluster.superuser, "-d", copy.cluster.database)
    checks = ("--install-missing", "--heapallindexed", "--parent-check")
    try:
        await apart(copy.programs, copy.programs.run, "pg_amcheck", *arguments, *checks)
    except BackupFailed as failed:
        found.wrong.append(failed.what)


async def broken(connection: asyncpg.Connection, apps: Apps) -> list[str]:
    """Which invariants do not hold, each with a row of which it is not true."""
    wrong = []
    for app in apps:
        for name, statement in app.invariants.items():
            try:
                row = await connection.fetchrow(statement)
            except asyncpg.PostgresError as error:
                wrong.append(f"{app.name}: {name}: it cannot be told: {error}")
                continue
            if row is not None:
                wrong.append(f"{app.name}: {name}: not so for {dict(row.items())}")
    return wrong


def _check_pages(copy: Copy) -> None:
    """The checksum of every page, indexes of all kinds too; where the server has any."""
    try:
        copy.programs.run("pg_checksums", "--check", "-D", copy.folder, **copy.programs.other_user())
    except BackupFailed as failed:
        if WITHOUT_CHECKSUMS not in failed.what:
            raise
