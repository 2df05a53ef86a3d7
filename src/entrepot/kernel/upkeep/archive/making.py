"""Makes an archive: copies rows into an object, reads the object back, and only then calls it proven."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

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


class Pipeline:
    """Takes what COPY sends, which is whole rows, and hands it on in large pieces, from one stage to the next.

    Each stage is a function that runs in a thread, one piece after the other. The stages and whoever sends work at the
    same time. As many pieces as there are stages, and two more, are in memory at once.
    """

    def __init__(self, *stages: Callable[[Any], Any]) -> None:
        self.stages = [(asyncio.Lock(), stage) for stage in stages]
        self.parts: list[bytes] = []
        self.size = 0
        self.under_way: deque[asyncio.Task[None]] = deque()

    async def __call__(self, data: bytes) -> None:
        """Some rows."""
        self.parts.append(data)
        self.size += len(data)
        if self.size >= PIECE:
            await self.hand_on()

    async def hand_on(self) -> None:
        """What was collected goes to the first stage, once there is room."""
        if len(self.under_way) > len(self.stages):
            await self.under_way.popleft()
        piece = b"".join(self.parts)
        self.parts, self.size = [], 0
        if piece:
            self.under_way.append(asyncio.create_task(self._pass_through(piece)))

    async def _pass_through(self, piece: Any) -> None:
        for lock, stage in self.stages:
            async with lock:  # a lock is given to those who wait in the order in which they came
                piece = await asyncio.to_thread(stage, piece)

    async def finish(self) -> None:
        """Waits until what was handed on is done; raises what went wrong first."""
        done = await asyncio.gather(*self.under_way, return_exceptions=True)
        self.under_way.clear()
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure


async def copy_out(db: Read, select: str, *stages: Callable[[Any], Any]) -> None:
    """Streams the rows as CSV, every value quoted and null empty, through functions that run in threads."""
    pipeline = Pipeline(*stages)
    try:
        await db.connection.copy_from_query(select, output=pipeline, format="csv", force_quote=True)
        await pipeline.hand_on()
    finally:
        await pipeline.finish()


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
        await remove(archives, archive)  # whoever gave it up may have looked for its object before it was there
        raise Overtaken(archive.name)
    LOG.info("%s: %d rows, %d bytes, proven", proven.name, proven.rows, proven.size)
    return proven


async def remove(archives: Archives, archive: Archive) -> None:
    """Removes its object and its manifest, or what there is of them."""
    await archives.delete(archive.name)
    await archives.delete(archive.manifest)


async def _write_and_read(
    database: Database, archives: Archives, relation: Relation, archive: Archive, revision: str
) -> tuple[Sum, int]:
    """Makes object and manifest; answers what the store gives back, if that is what PostgreSQL gave."""
    wrote, columns = await _write(database, archives, relation, archive)
    manifest = msgspec.json.format(msgspec.json.encode(_manifest(archive, wrote, columns, revision)))
    await archives.put(archive.manifest, manifest)
    if await archives.get(archive.manifest) != manifest:
        raise Mismatch("the manifest is not what was written")
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
        await copy_out(db, relation.rows(columns, archive.lower, archive.upper), writer.read, writer.write)
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
