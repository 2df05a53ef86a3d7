"""The nouns of backups: a backup, its proof, positions in the WAL, and what can be wrong with them."""

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

import msgspec


class BackupFailed(Exception):
    """A backup could not be made, read or restored; the message says why, `mend` what to do about it."""

    def __init__(self, what: str, mend: str = "") -> None:
        self.what, self.mend = what, mend
        super().__init__(what)


class BackupMissing(BackupFailed):
    """The store does not hold it."""


class BackupDamaged(BackupFailed):
    """What the store holds is not what was put there, or not all of it."""


class BackupUnsealed(BackupFailed):
    """What the store holds is not sealed, though keys are given: whoever may write there may have made it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is not sealed, though keys are given, so it may be anybody's",
            "entrepot backup create, under a worker that has the keys too; what is older is taken with --unsealed",
        )


class Kind(StrEnum):
    """A full backup stands alone; an incremental one holds what changed since its parent."""

    FULL = "full"
    INCREMENTAL = "incremental"


class Outcome(StrEnum):
    """How a verification ended."""

    PROVEN = "proven"
    FAILED = "failed"


class Lsn(int):
    """A position in the WAL, in bytes; written as PostgreSQL does, in two hexadecimal numbers."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError."""
        high, slash, low = text.partition("/")
        if not slash:
            raise ValueError(f"{text!r} is no LSN, such as 0/3000148")
        return cls((int(high, 16) << 32) + int(low, 16))

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFFFFFF:X}"


class Cluster(msgspec.Struct, frozen=True):
    """What must be known of a server to back it up and to boot its copy."""

    system: str
    """Its system identifier, the same for all its replicas and restored copies."""
    version: int
    """As `server_version_num`, for instance 180004."""
    segment_size: int
    """Bytes of a WAL segment."""
    superuser: str
    """The bootstrap superuser, who is in every copy."""
    libraries: str
    """`shared_preload_libraries`: without them some tables cannot be read."""
    database: str
    """The database that the house lies in."""

    @property
    def major(self) -> int:
        """For instance 18."""
        return self.version // 10_000


class Backup(msgspec.Struct, frozen=True):
    """What the store says of a backup, beside it; written last, so a backup that has it is whole."""

    id: UUID
    kind: Kind
    parent: UUID | None
    cluster: Cluster
    timeline: int
    start_lsn: str
    """Where recovery begins."""
    end_lsn: str
    """From where on the copy is consistent."""
    began_at: datetime
    ended_at: datetime
    """By the server's clock; whatever was committed later is not needed for it."""
    size: int
    """Bytes, before compression."""
    stored: int
    """Bytes in the store."""
    sha256: str
    """Of the tar, before compression, in hexadecimal."""
    key: str | None
    """The id of the key that it is sealed with."""

    @property
    def first_segment(self) -> int:
        """The number of the WAL segment that recovery begins in."""
        return Lsn.parse(self.start_lsn) // self.cluster.segment_size

    @property
    def last_segment(self) -> int:
        """The number of the last WAL segment that the backup itself holds."""
        return Lsn.parse(self.end_lsn) // self.cluster.segment_size


class Proof(msgspec.Struct, frozen=True):
    """A row of the ledger: this backup was restored up to that moment, and this is what was found."""

    id: UUID
    backup: UUID
    kind: str
    """The kind of the backup that the restored chain ends with."""
    from_lsn: str
    to_lsn: str
    covers_until: datetime
    """Everything that was committed by then was in the restored copy, where the outcome is `proven`."""
    verified_at: datetime
    outcome: Outcome
    findings: tuple[str, ...]
    """What was wrong; empty where the outcome is `proven`."""
    tables: int
    """Tables that were compared with the primary, by count and content."""
    rows: int
    seconds: float


class Position(msgspec.Struct, frozen=True):
    """A place in the WAL, and the moment, by the server's clock, up to which it has everything that was committed."""

    lsn: str
    at: datetime


def segment_name(timeline: int, number: int, segment_size: int) -> str:
    """A WAL segment's file name."""
    each = 0x1_0000_0000 // segment_size
    return f"{timeline:08X}{number // each:08X}{number % each:08X}"


def segment_number(name: str, segment_size: int) -> int:
    """A WAL segment's number, whatever its timeline."""
    each = 0x1_0000_0000 // segment_size
    return int(name[8:16], 16) * each + int(name[16:24], 16)
