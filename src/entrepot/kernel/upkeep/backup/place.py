"""The place of the backups: a folder or a bucket, apart from the database and readable without it.

<system>/backups/<id>/base.tar.gz      the server's files, as pg_basebackup gives them
<system>/backups/<id>/manifest.gz      PostgreSQL's own list of them, which the next incremental one begins with
<system>/backups/<id>/backup.json      what it is, for who has no key too; written last
<system>/backups/<id>/backup.sha256.gz what vouches for that
<system>/wal/<segment>.gz              the WAL, and the histories of timelines
<system>/wal/<segment>.partial.gz      the segment that is being written
<system>/position.json.gz              how far the archive of the WAL reaches

Without keys they are what their names say. With keys all but the JSON are sealed, and what is not sealed is refused.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.store import durable
from entrepot.kernel.upkeep.backup.model import Backup, BackupDamaged, BackupFailed, BackupMissing, Position
from entrepot.kernel.upkeep.backup.sealing import Key, Sealer, opened

T = TypeVar("T")
LOG = logging.getLogger("entrepot.backup")
PIECE = 4 << 20
PART = 8 << 20
"""Bytes that are uploaded at a time; S3 takes no part under 5 MB but the last."""
MOST_PARTS = 5_000
"""Half of what S3 takes, so that more than was expected fits as well."""
PARTIAL = ".partial"
NOTE, VOUCHER = "backup.json", "backup.sha256.gz"
POSITION = "position.json.gz"
CUT_OFF = re.compile(r".+#\d+")


class Sink(Protocol):
    """Where a stream is written to."""

    def write(self, piece: bytes) -> object:
        """Some more of it."""


class Place:
    """One server's backups and WAL. Its calls wait for the store, so they are made in a thread of their own.

    All raise `BackupFailed` where the store does not answer. With `keys` the last one seals; every one opens, and what
    is not sealed is taken only where `unsealed` says so.
    """

    def __init__(self, store: ObjectStore, system: str, keys: Mapping[str, bytes], *, unsealed: bool = False) -> None:
        self.store, self.system, self.keys, self.unsealed = store, system, keys, unsealed

    @property
    def key(self) -> Key | None:
        """The key that seals."""
        return list(self.keys.items())[-1] if self.keys else None

    def path(self, name: str) -> str:
        """Where an object of this server lies."""
        return f"{self.system}/{name}"

    def write(self, name: str, expected: int, fill: Callable[[Sink], T]) -> tuple[T, int]:
        """Puts a stream of about so many bytes there, whole or not at all; what `fill` answers, and the bytes kept."""
        path, part = self.path(name), max(PART, expected // MOST_PARTS)
        try:
            # A stream that failed is not closed: only that would make it an object.
            writer = durable.writer(self.store, path, part=part, at_once=2)
            sealer = Sealer(writer.write, path, self.key)
            answer = fill(sealer)
            sealer.close()
            writer.close()
        except (BaseError, OSError) as error:
            raise BackupFailed(f"{name} was not kept: {error}", "look at the backups' store") from error
        return answer, sealer.stored

    def keep(self, name: str, content: bytes) -> int:
        """Puts bytes there, in place of what was there; how many are stored."""
        path, made = self.path(name), bytearray()
        sealer = Sealer(made.extend, path, self.key)
        sealer.write(content)
        sealer.close()
        self._put(name, bytes(made))
        return sealer.stored

    def _put(self, name: str, content: bytes) -> None:
        try:
            durable.put(self.store, self.path(name), content)
        except (BaseError, OSError) as error:
            raise BackupFailed(f"{name} was not kept: {error}", "look at the backups' store") from error

    def read(self, name: str) -> Iterator[bytes]:
        """The stream that lies there, in pieces; raises `BackupMissing`, `BackupDamaged` or `BackupUnsealed`."""
        return opened(self._pieces(name), self.path(name), self.keys, unsealed=self.unsealed)

    def _pieces(self, name: str) -> Iterator[bytes]:
        try:
            for piece in obstore.get(self.store, self.path(name)).stream(min_chunk_size=PIECE):
                yield bytes(piece)
        except FileNotFoundError:
            raise BackupMissing(f"{name} is missing in the backups' store") from None
        except (BaseError, OSError) as error:
            raise BackupFailed(f"{name} was not read: {error}", "look at the backups' store") from error

    def names(self, below: str) -> list[str]:
        """What lies in a folder and those in it, from there on, in order."""
        prefix = self.path(below)
        try:
            found = [each["path"] for batch in obstore.list(self.store, prefix) for each in batch]
        except (BaseError, OSError) as error:
            raise BackupFailed(f"{below} was not read: {error}", "look at the backups' store") from error
        return sorted(path.removeprefix(f"{prefix}/") for path in found)

    def remove(self, name: str) -> None:
        """Takes it away; it may be away already."""
        try:
            obstore.delete(self.store, self.path(name))
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise BackupFailed(f"{name} was not removed: {error}", "look at the backups' store") from error

    def remove_cut_off(self, until: datetime) -> int:
        """Removes files whose writer was killed by then: a folder has them under names that are never listed.

        What a bucket keeps of such an upload, its own lifecycle rules remove.
        """
        if not isinstance(self.store, LocalStore):
            return 0
        count = 0
        for file in (Path(str(self.store.prefix)) / self.system).rglob("*#*"):
            if CUT_OFF.fullmatch(file.name) and file.stat().st_mtime <= until.timestamp():
                file.unlink()
                count += 1
        return count

    def note(self, backup: Backup) -> None:
        """Makes a backup one: from now on it is whole."""
        text = msgspec.json.format(msgspec.json.encode(backup))
        self.keep(f"backups/{backup.id}/{VOUCHER}", sha256(text).hexdigest().encode())
        self._put(f"backups/{backup.id}/{NOTE}", text)

    def backups(self) -> list[Backup]:
        """Every whole backup, oldest first, as it says of itself: `trust` tells whether that is so.

        One whose note cannot be read is none, and does not keep the others from being used: `damaged` names it.
        """
        return sorted((each for each in self._notes() if isinstance(each, Backup)), key=lambda each: each.ended_at)

    def damaged(self) -> list[BackupDamaged]:
        """What is wrong with the notes that cannot be read."""
        return [each for each in self._notes() if isinstance(each, BackupDamaged)]

    def usable(self) -> list[Backup]:
        """Every whole backup, oldest first; raises `BackupDamaged` where there are none but such as cannot be read."""
        there = self.backups()
        if not there and (damaged := self.damaged()):
            raise damaged[0]
        return there

    def _notes(self) -> Iterator[Backup | BackupDamaged]:
        for name in self.names("backups"):
            if (identity := identity_of(name)) is not None and name.endswith(f"/{NOTE}"):
                try:
                    yield self.backup(identity)
                except BackupMissing:  # it was pruned since it was listed
                    continue
                except BackupDamaged as damaged:
                    LOG.warning("%s", damaged)
                    yield damaged

    def backup(self, identity: UUID) -> Backup:
        """The backup of that id, as it says of itself; raises `BackupMissing`."""
        return self._read(identity, self._text(identity))

    def _text(self, identity: UUID) -> bytes:
        return b"".join(self._pieces(f"backups/{identity}/{NOTE}"))

    def _read(self, identity: UUID, text: bytes) -> Backup:
        try:
            return msgspec.json.decode(text, type=Backup)
        except msgspec.DecodeError as error:
            raise BackupDamaged(f"backups/{identity}/{NOTE} was altered: {error}") from None

    def trust(self, backup: Backup) -> None:
        """Raises `BackupDamaged` or `BackupUnsealed` where what it says of itself may be anybody's."""
        text = self._text(backup.id)
        vouched = bytes_of(self.read(f"backups/{backup.id}/{VOUCHER}")).decode()
        if sha256(text).hexdigest() != vouched or self._read(backup.id, text) != backup:
            raise BackupDamaged(f"backups/{backup.id}/{NOTE} was altered")

    def segments(self) -> list[str]:
        """The names of WAL segments, of the partial one and of histories, as PostgreSQL calls them."""
        return [name.removesuffix(".gz") for name in self.names("wal") if name.endswith(".gz")]

    def reach(self, position: Position) -> None:
        """Notes how far the WAL is archived."""
        self.keep(POSITION, msgspec.json.encode(position))

    def position(self) -> Position | None:
        """How far the WAL is archived, where any is."""
        try:
            return msgspec.json.decode(bytes_of(self.read(POSITION)), type=Position)
        except BackupMissing:
            return None


def store_of(settings: Settings) -> ObjectStore:
    """The store that the settings name, or a folder under `home`; raises `BadSettings`."""
    url = settings.backup_url or (settings.home / "backups").absolute().as_uri()
    try:
        if url.startswith("file:"):
            return LocalStore(prefix=Path(unquote(urlsplit(url).path)), mkdir=True)
        return from_url(url)
    except Exception as error:
        raise BadSettings(f"ENTREPOT_BACKUP_URL: {error}") from error


def systems(store: ObjectStore) -> list[str]:
    """The servers that have something in this store, by system identifier."""
    found = obstore.list_with_delimiter(store)["common_prefixes"]
    return sorted(name.strip("/") for name in found)


def place_of(settings: Settings, system: str, *, unsealed: bool = False) -> Place:
    """The place of one server's backups. A server that is gone is found by what it left."""
    return Place(store_of(settings), system, settings.backup_key_bytes, unsealed=unsealed)


def identity_of(name: str) -> UUID | None:
    """Of which backup something is that lies below `backups`; None where it is of none."""
    try:
        return UUID(name.partition("/")[0])
    except ValueError:
        return None


def bytes_of(stream: Iterator[bytes]) -> bytes:
    """All of it."""
    with closing(stream) as pieces:  # type: ignore[type-var]
        return b"".join(pieces)
