"""The nouns of archives: what one holds, where it lies, and through which states it goes."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from entrepot.kernel.machine import Machine


class ArchiveState(StrEnum):
    """`writing`: an object is being made. `proven`: it was read back and is what the rows were. `removing`: its rows
    are leaving. `removed`: it is the only place that has them. `void`: it never counted.
    """

    WRITING = "writing"
    PROVEN = "proven"
    REMOVING = "removing"
    REMOVED = "removed"
    RESTORED = "restored"
    EXPIRED = "expired"
    VOID = "void"


class ArchiveEvent(StrEnum):
    """What happens to an archive."""

    PROVE = "prove"
    BEGIN = "begin"
    FINISH = "finish"
    RESTORE = "restore"
    EXPIRE = "expire"
    GIVE_UP = "give up"


S, E = ArchiveState, ArchiveEvent
ARCHIVE = Machine(
    {
        (S.WRITING, E.PROVE): S.PROVEN,
        (S.WRITING, E.GIVE_UP): S.VOID,
        (S.PROVEN, E.GIVE_UP): S.VOID,
        (S.PROVEN, E.BEGIN): S.REMOVING,
        (S.PROVEN, E.FINISH): S.REMOVED,  # a partition goes as a whole, in the transaction that says so
        (S.REMOVING, E.FINISH): S.REMOVED,
        (S.REMOVED, E.RESTORE): S.RESTORED,
        (S.REMOVED, E.EXPIRE): S.EXPIRED,
        (S.RESTORED, E.EXPIRE): S.EXPIRED,
    }
)


class Column(msgspec.Struct, frozen=True):
    """A column as PostgreSQL calls it; `key` is its place in the primary key, from 1, or 0."""

    name: str
    type: str
    key: int


class Archive(msgspec.Struct, frozen=True):
    """A row of the ledger. It holds the rows of a table whose time lay from `lower` up to and without `upper`."""

    id: UUID
    app: str
    table_name: str
    partition: str | None
    lower: datetime | None
    upper: datetime
    state: ArchiveState
    rows: int
    size: int
    """Of the object, in octets."""
    content_hash: bytes | None
    position: int
    spared: list[int]
    """Which rows of the object, counted from 0, were changed or gone when they were to leave: those are not its own."""
    started_at: datetime
    proven_at: datetime | None
    removed_at: datetime | None

    @property
    def name(self) -> str:
        """Where its object lies; the manifest lies beside it."""
        return f"{self.app}/{self.table_name}/{self.id}.parquet"

    @property
    def manifest(self) -> str:
        """Where its manifest lies."""
        return f"{self.app}/{self.table_name}/{self.id}.json"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside the object, so that it can be understood, checked and brought back without our database."""

    id: UUID
    app: str
    table: str
    partition: str | None
    lower: datetime | None
    upper: datetime
    rows: int
    columns: tuple[Column, ...]
    content_hash: str
    """BLAKE3, 256 bits in hexadecimal, of the columns as JSON, a line feed, and the rows as PostgreSQL's
    COPY ... (FORMAT csv, FORCE_QUOTE *) writes them, in the object's order."""
    schema_revision: str
    made_at: datetime
