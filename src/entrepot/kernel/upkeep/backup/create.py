"""Taking a backup: pg_basebackup's tar goes to the store as it comes, and nothing of it to this machine's disk."""

import hashlib
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import asyncpg
import msgspec

from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep.backup import server
from entrepot.kernel.upkeep.backup.model import Backup, BackupFailed, Kind
from entrepot.kernel.upkeep.backup.place import PIECE, Place, Sink, bytes_of, place_of
from entrepot.kernel.upkeep.backup.programs import Programs, apart, environment, find, last_words
from entrepot.kernel.upkeep.backup.restore import on_the_way, whole
from entrepot.kernel.values import new_id

MANIFEST = "backup_manifest"
HOLD = "SELECT pg_create_physical_replication_slot($1, true, true)"
"""Keeps the WAL of the backup until the connection ends: the tar has it at its end."""


class Range(msgspec.Struct, frozen=True, rename="pascal"):
    """A stretch of WAL in PostgreSQL's own manifest."""

    timeline: int
    start: str = msgspec.field(name="Start-LSN")
    end: str = msgspec.field(name="End-LSN")


class Manifest(msgspec.Struct, frozen=True):
    """The part of PostgreSQL's own manifest that is read here."""

    ranges: tuple[Range, ...] = msgspec.field(name="WAL-Ranges")


@dataclass(frozen=True)
class Taken:
    """What came from the server."""

    sha256: str
    size: int
    stored: int
    manifest: bytes


class Tee:
    """A file that hands on everything that is read from it."""

    def __init__(self, source: IO[bytes], onto: Callable[[bytes], object]) -> None:
        self._source, self._onto = source, onto
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, length: int) -> bytes:
        """The next bytes."""
        piece = self._source.read(length)
        self._hash.update(piece)
        self._onto(piece)
        self.size += len(piece)
        return piece

    def drain(self) -> str:
        """Reads the rest; the SHA-256 of all."""
        while self.read(PIECE):
            pass
        return self._hash.hexdigest()


async def create(settings: Settings, *, incremental: bool = False) -> Backup:
    """Takes a backup of the server and puts it to the place that the settings name. Raises `BackupFailed`."""
    url = server.address(settings)
    async with server.connected(url) as connection:
        await server.require(connection, incremental=incremental)
        cluster = await server.cluster(connection)
        programs = Programs(find(cluster.major, settings.postgres_programs))
        place = place_of(settings, cluster.system)
        parent = await apart(programs, _newest, place) if incremental else None
        identity, began_at = new_id(), await server.now(connection)
        await _hold(connection, identity)
        expected = await server.size(connection)
        taken = await apart(programs, _take, programs, place, url, identity, parent, expected)
        ended_at = await server.now(connection)
    read = msgspec.json.decode(taken.manifest, type=Manifest).ranges[-1]
    backup = Backup(
        id=identity,
        kind=Kind.INCREMENTAL if parent else Kind.FULL,
        parent=parent.id if parent else None,
        cluster=cluster,
        timeline=read.timeline,
        start_lsn=read.start,
        end_lsn=read.end,
        began_at=began_at,
        ended_at=ended_at,
        size=taken.size,
        stored=taken.stored,
        sha256=taken.sha256,
        key=place.key[0] if place.key else None,
    )
    await apart(programs, place.note, backup)
    return backup


async def _hold(connection: asyncpg.Connection, identity: UUID) -> None:
    await connection.execute("SET idle_session_timeout = 0")
    await connection.fetchval(HOLD, f"entrepot_backup_{identity.hex}")


def _newest(place: Place) -> Backup:
    """What an incremental backup adds to."""
    there = whole(on_the_way(place, place.backups()))
    if not there:
        raise BackupFailed("there is no backup that an incremental one could add to", "entrepot backup create")
    return there[-1]


def _take(programs: Programs, place: Place, url: str, identity: UUID, parent: Backup | None, expected: int) -> Taken:
    with tempfile.TemporaryDirectory(prefix="entrepot-backup-") as folder:
        before: list[object] = []
        if parent is not None:
            manifest = Path(folder) / "manifest"
            manifest.write_bytes(bytes_of(place.read(f"backups/{parent.id}/manifest.gz")))
            before = [f"--incremental={manifest}"]
        name = f"backups/{identity}/base.tar.gz"
        taken, stored = place.write(name, expected, lambda sink: _stream(programs, environment(url), before, sink))
    place.keep(f"backups/{identity}/manifest.gz", taken.manifest)
    return Taken(taken.sha256, taken.size, stored, taken.manifest)


def _stream(programs: Programs, env: dict[str, str], before: list[object], sink: Sink) -> Taken:
    """Runs pg_basebackup into the sink; its manifest is the last file of the tar."""
    arguments = ["-D", "-", "-Ft", "-X", "fetch", "-c", "fast", "-w", "--manifest-checksums=SHA256", *before]
    manifest = b""
    with tempfile.TemporaryFile() as told:
        process = programs.start("pg_basebackup", arguments, env=env, stdout=subprocess.PIPE, stderr=told)
        assert process.stdout is not None
        source: Any = Tee(process.stdout, sink.write)
        try:
            with tarfile.open(fileobj=source, mode="r|", bufsize=1 << 20) as tar:
                for member in tar:
                    if member.name == MANIFEST and (file := tar.extractfile(member)):
                        manifest = file.read()
            digest = source.drain()
        except tarfile.TarError:
            digest = source.drain()  # it failed, and its own words say why
        except BaseException:
            process.terminate()
            raise
        finally:
            process.stdout.close()
            status = programs.ended(process)
        if status or not manifest:
            raise BackupFailed(f"pg_basebackup: {last_words(told) or f'ended with status {status}'}")
    return Taken(digest, source.size, 0, manifest)
