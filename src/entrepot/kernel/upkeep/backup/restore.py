"""Restoring: the files of a backup and all that it adds to, and the WAL that leads from there to the target."""

import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep.backup.copy import WAL, Copy, Target
from entrepot.kernel.upkeep.backup.model import Backup, BackupDamaged, BackupFailed, Lsn, Position, segment_number
from entrepot.kernel.upkeep.backup.place import PARTIAL, Place, bytes_of, place_of, store_of, systems
from entrepot.kernel.upkeep.backup.programs import Programs, apart, find
from entrepot.kernel.upkeep.backup.wal import missing

SHORT = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True)
class Restored:
    """What stands in a folder now."""

    folder: Path
    backup: Backup
    target: Target


class Stream:
    """Pieces as a file, with the SHA-256 of what was read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, b""
        self.hash = hashlib.sha256()

    def read(self, length: int) -> bytes:
        """The next bytes; none at the end."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self.hash.update(piece)
            self._held = piece
        taken, self._held = self._held[:length], self._held[length:]
        return taken


def chain(there: Sequence[Backup], last: Backup) -> list[Backup]:
    """A backup and all that it adds to, the full one first. Raises `BackupFailed` where one is missing."""
    known = {backup.id: backup for backup in there}
    found = [last]
    while (parent := found[0].parent) is not None:
        if parent not in known:
            raise BackupFailed(f"backup {found[0].id} adds to {parent}, which is missing", "entrepot backup create")
        found.insert(0, known[parent])
    return found


def whole(there: Sequence[Backup]) -> list[Backup]:
    """Those of which nothing is missing that they add to."""
    known = {backup.id: backup for backup in there}

    def stands(backup: Backup | None) -> bool:
        return backup is not None and (backup.parent is None or stands(known.get(backup.parent)))

    return [backup for backup in there if stands(backup)]


def on_the_way(place: Place, there: Sequence[Backup]) -> list[Backup]:
    """The backups that lead to where the server is now: not those of a history that a restore or a failover left."""
    histories = [name for name in place.segments() if name.endswith(".history")]
    if not histories:
        return list(there)
    newest = max(histories)
    left = [line.split() for line in bytes_of(place.read(f"wal/{newest}.gz")).decode().splitlines()]
    ends = {int(line[0]): Lsn.parse(line[1]) for line in left if line}
    now = int(newest[:8], 16)  # or a later one, whose history is not archived yet
    return [
        each
        for each in there
        if each.timeline >= now or (each.timeline in ends and Lsn.parse(each.end_lsn) <= ends[each.timeline])
    ]


def choose(there: Sequence[Backup], to: str) -> tuple[Backup, Target]:
    """The newest backup from which that time or LSN can be reached; the newest of all where none is asked for."""
    there = whole(there)
    if not there:
        raise BackupFailed("there is no backup", "entrepot backup create")
    if not to:
        return there[-1], Target()
    if "/" in to:
        lsn = Lsn.parse(to)
        fits = [backup for backup in there if Lsn.parse(backup.end_lsn) <= lsn]
        target = Target(lsn=str(lsn))
    else:
        moment = _moment(to)
        fits = [backup for backup in there if backup.ended_at <= moment]
        target = Target(time=moment.isoformat())
    if not fits:
        raise BackupFailed(
            f"no backup is as old as {to}: the oldest ended at {there[0].ended_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    return fits[-1], target


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BackupFailed(f"{text!r} is neither a time, such as 2026-01-31T12:00:00Z, nor an LSN") from None
    if moment.tzinfo is None:
        raise BackupFailed(f"{text!r} does not tell its time zone: add Z for UTC")
    return moment


def fetch(place: Place, backup: Backup, folder: Path) -> None:
    """Unpacks a backup there. Raises `BackupDamaged` unless it is, byte by byte, what the server gave."""
    stream = Stream(place.read(f"backups/{backup.id}/base.tar.gz"))
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as tar:  # type: ignore[call-overload]
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise BackupDamaged(f"backup {backup.id} cannot be unpacked: {error}") from None
    while stream.read(1 << 20):
        pass
    if stream.hash.hexdigest() != backup.sha256:
        raise BackupDamaged(f"backup {backup.id} is not what the server gave: its SHA-256 differs")


def unpack(programs: Programs, place: Place, links: Sequence[Backup], folder: Path) -> None:
    """The files of a chain of backups, each checked by pg_verifybackup, combined into one folder."""
    for backup in links:
        place.trust(backup)
    if len(links) == 1:
        fetch(place, links[0], folder)
        programs.run("pg_verifybackup", "-q", folder)
        return
    parts = folder.with_name(f"{folder.name}.parts")
    try:
        for backup in links:
            part = parts / str(backup.id)
            part.mkdir(parents=True)
            fetch(place, backup, part)
            programs.run("pg_verifybackup", "-q", part)
        programs.run("pg_combinebackup", "--no-sync", *(parts / str(backup.id) for backup in links), "-o", folder)
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def fetch_wal(place: Place, backup: Backup, folder: Path, target: Target) -> None:
    """Puts the archived WAL from a backup to the target into the copy. Raises `BackupDamaged` where one is missing."""
    there, size = place.segments(), backup.cluster.segment_size
    wanted = [name for name in there if not name.endswith(".history") and _is_from(name, backup)]
    if target.lsn:
        last = Lsn.parse(target.lsn) // size + 1  # the record that recovery stops at may lie in the next one
        wanted = [name for name in wanted if segment_number(name, size) <= last]
    if (lost := missing(wanted, backup.last_segment, size)) is not None:
        raise BackupDamaged(f"WAL segment {lost} is missing in the archive", "entrepot backup create")
    (folder / WAL).mkdir(exist_ok=True)
    whole = {name for name in wanted if not name.endswith(PARTIAL)}
    # The backup itself has the histories up to its own timeline.
    histories = [name for name in there if name.endswith(".history") and int(name[:8], 16) > backup.timeline]
    for name in [*wanted, *histories]:
        plain = name.removesuffix(PARTIAL)
        if name == plain or plain not in whole:
            (folder / WAL / plain).write_bytes(bytes_of(place.read(f"wal/{name}.gz")))


def _is_from(name: str, backup: Backup) -> bool:
    timeline = int(name[:8], 16)
    return timeline >= backup.timeline and segment_number(name, backup.cluster.segment_size) >= backup.first_segment


def recover(copy: Copy, target: Target, position: Position | None = None) -> None:
    """Boots it, and recovers it to the target, where the archive reaches to that position."""
    try:
        copy.start(target)
    except BackupFailed as failed:
        # PostgreSQL looks for a commit after the time. Where the archive is later than that and has none, all is there.
        is_later = position is not None and target.time and position.at >= datetime.fromisoformat(target.time)
        if not is_later or SHORT not in failed.what:
            raise
        copy.start(Target())
    shutil.rmtree(copy.folder / WAL)


async def restore(
    settings: Settings, folder: Path, to: str = "", system: str = "", *, unsealed: bool = False
) -> Restored:
    """Makes in an empty folder a server as it was then, stopped cleanly: start it as any other. Needs no database.

    `unsealed` takes what is not sealed, though there are keys. Raises `BackupFailed`.
    """
    place = await the_place(settings, system, unsealed=unsealed)
    programs = Programs(Path())
    there = await apart(programs, place.usable)
    backup, target = choose(await apart(programs, on_the_way, place, there), to)
    programs = Programs(find(backup.cluster.major, settings.postgres_programs))
    return await apart(programs, _restore, programs, place, backup, target, folder)


async def the_place(settings: Settings, system: str = "", *, unsealed: bool = False) -> Place:
    """The place of that server's backups, or of the only one that has any."""
    programs = Programs(Path())
    known = await apart(programs, systems, store_of(settings))
    if not system and len(known) > 1:
        raise BackupFailed(f"the store has backups of several servers: {', '.join(known)}", "name one by --system")
    if not known or (system and system not in known):
        raise BackupFailed("the store has no backup" + (f" of {system}" if system else ""), "entrepot backup create")
    return place_of(settings, system or known[0], unsealed=unsealed)


def _restore(programs: Programs, place: Place, backup: Backup, target: Target, folder: Path) -> Restored:
    folder = folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise BackupFailed(f"{folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    position = place.position()
    copy = Copy(programs, folder, backup.cluster, Path(tempfile.mkdtemp(prefix="entrepot-restore-")))
    try:
        with closing(copy):
            unpack(programs, place, chain(place.backups(), backup), folder)
            fetch_wal(place, backup, folder, target)
            recover(copy, target, position)
            copy.stop()
    except BaseException:
        _empty(folder)
        raise
    return Restored(folder, backup, target)


def _empty(folder: Path) -> None:
    """What is not whole is not left where a server could be started from it."""
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
