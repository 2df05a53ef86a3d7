"""Makes an archive: copies rows into an object, reads the object back, and only then calls it proven."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.store.archives import Archives
from entrepot.kernel.upkeep.archive import ledger
from entrepot.kernel.upkeep.archive.model import Archive, ArchiveState, Column, Manifest
from entrepot.kernel.upkeep.archive.parquet import PIECE, Mismatch, Rows, Sum, Summing, Writer
from entrepot.kernel.upkeep.archive.relation import Relation, columns_of, quoted, speak_plainly
from entrepot.kernel.values import new_id

LOG = logging.getLogger("entrepot.archive")


class Overtaken(Exception):
    """Somebody else moved this archive on: what we were about to do is theirs to do."""


class Span(NamedTuple):
    """What goes into one archive: the rows of these times, or a whole partition."""

    lower: datetime | None
    upper: datetime
    partition: str | None = None


class Collector:
    """Takes what COPY sends, which is whole rows, and hands it on in large pieces, while the next one is collected."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.take = take
        self.parts: list[bytes] = []
        self.size = 0
        self.handed: asyncio.Task[None] | None = None

    async def __call__(self, data: bytes) -> None:
        """Some rows."""
        self.parts.append(data)
        self.size += len(data)
        if self.size >= PIECE:
            await self.hand_on()

    async def hand_on(self) -> None:
        """What was collected goes to a thread, once that is done with the piece before."""
        await self.finish()
        piece = b"".join(self.parts)
        self.parts, self.size = [], 0
        if piece:
            self.handed = asyncio.create_task(asyncio.to_thread(self.take, piece))

    async def finish(self) -> None:
        """Waits until what was handed on is done."""
        if self.handed is not None:
            await self.handed
            self.handed = None


async def copy_out(db: Read, select: str, take: Callable[[bytes], None]) -> None:
    """Streams the rows as CSV, every value quoted and null empty, to a function that runs in a thread."""
    collector = Collector(take)
    try:
        await db.connection.copy_from_query(select, output=collector, format="csv", force_quote=True)
        await collector.hand_on()
    finally:
        await collector.finish()


async def make(database: Database, archives: Archives, relation: Relation, span: Span) -> Archive:
    """A proven archive of these rows. Raises `Mismatch` where the object is not what was put there, and `Overtaken`.

    The ledger knows of it before the first byte is written, so that nothing is left lying that nobody knows of.
    """
    async with database.write() as db:
        revision = await db.value(Query(ledger.SCHEMA_REVISION.format(quoted(relation.app.name))))
        archive = await ledger.add(
            db, new_id(), relation.app.name, relation.table.name, span.partition, span.lower, span.upper, revision
        )
    try:
        found, size = await _write_and_read(database, archives, relation, archive, revision)
    except Exception as error:
        async with database.write() as db:
            await ledger.move(db, archive, ArchiveState.VOID, f"{type(error).__name__}: {error}")
        raise
    async with database.write() as db:
        proven = await ledger.prove(db, archive, found.rows, size, found.digest)
    if proven is None:
        raise Overtaken(archive.name)
    LOG.info("%s: %d rows, %d bytes, proven", proven.name, proven.rows, proven.size)
    return proven


async def _write_and_read(
    database: Database, archives: Archives, relation: Relation, archive: Archive, revision: str
) -> tuple[Sum, int]:
    """Makes object and manifest; answers what the store gives back, if that is what PostgreSQL gave."""
    wrote, columns = await _write(database, archives, relation, archive)
    manifest = msgspec.json.encode(_manifest(archive, wrote, columns, revision))
    await archives.put(archive.manifest, msgspec.json.format(manifest))
    found, size = await read_back(archives, archive, columns)
    if found != wrote:
        raise Mismatch(f"{wrote.rows} rows were written and {found.rows} read back, or others")
    return found, size


async def _write(
    database: Database, archives: Archives, relation: Relation, archive: Archive
) -> tuple[Sum, list[Column]]:
    """Copies the rows into the object."""
    async with database.write() as db:
        columns = await columns_of(db, relation.name)
        await speak_plainly(db, in_order=archive.partition is not None)
        writer = await asyncio.to_thread(Writer, archives.writer(archive.name), columns)
        await copy_out(db, relation.rows(columns, archive.lower, archive.upper), writer.add)
    return await asyncio.to_thread(writer.close), columns


def _manifest(archive: Archive, wrote: Sum, columns: list[Column], revision: str) -> Manifest:
    return Manifest(
        id=archive.id,
        app=archive.app,
        table=archive.table_name,
        partition=archive.partition,
        lower=archive.lower,
        upper=archive.upper,
        rows=wrote.rows,
        columns=tuple(columns),
        content_hash=wrote.digest.hex(),
        schema_revision=revision,
        made_at=archive.started_at,
    )


async def read_back(archives: Archives, archive: Archive, columns: list[Column] | None = None) -> tuple[Sum, int]:
    """What the object holds, read from the store, and its size; raises `Mismatch` and `ObjectMissing`."""
    file = await archives.reader(archive.name)
    return await asyncio.to_thread(lambda: Rows(file, columns).sum()), file.size


async def is_still(db: Read, relation: Relation, archive: Archive) -> bool:
    """Whether the table holds exactly the archive's rows in that range, in their order."""
    columns = await columns_of(db, relation.name)
    await speak_plainly(db, in_order=True)
    summing = Summing(columns)
    await copy_out(db, relation.rows(columns, archive.lower, archive.upper), lambda csv: summing.add(csv, 0))
    return summing.sum.digest == archive.content_hash
