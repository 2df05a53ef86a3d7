"""Lets rows leave that a proven archive holds: a partition as a whole, single rows in small batches."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import msgspec
import pyarrow as pa

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.store.archives import Archives
from entrepot.kernel.upkeep.archive import ledger
from entrepot.kernel.upkeep.archive.making import Overtaken, is_still, remove
from entrepot.kernel.upkeep.archive.model import Archive, ArchiveState
from entrepot.kernel.upkeep.archive.parquet import Rows
from entrepot.kernel.upkeep.archive.relation import Relation

LOG = logging.getLogger("entrepot.archive")
BATCH = 2000
PAUSE = 0.005  # seconds between two batches, for whoever waits for a lock or the disk
# Gives up before PostgreSQL looks for deadlocks (after 1 s), so that it is never a writer who is sent away.
PATIENCE = Query("SELECT set_config('lock_timeout', '400ms', true)")
FREEZE = Query("SELECT core.freeze_partition(:archive)")
DROP = Query("SELECT core.drop_partition(:archive)")


async def drop_partition(database: Database, relation: Relation, archive: Archive) -> bool:
    """Drops the partition if it still is what its archive holds; False where it is not, and the archive is void then.

    Nobody can write to the partition from the comparison on. The table itself is locked for the moment of the drop.
    """
    async with database.write() as db:
        await db.value(PATIENCE)
        await db.value(FREEZE, archive=archive.id)
        if not await is_still(db, relation, archive):
            await _move(db, archive, ArchiveState.VOID)
            return False
        await db.value(DROP, archive=archive.id)
        await _move(db, archive, ArchiveState.REMOVED)
    LOG.info("%s: %s dropped", archive.name, archive.partition)
    return True


async def delete_rows(
    database: Database, archives: Archives, relation: Relation, archive: Archive, stop: Callable[[], bool]
) -> int:
    """Deletes the archive's rows, from where it was left; answers how many. Ends early when `stop` says so.

    What was changed since it was archived stays, and is noted as not the archive's.
    """
    if archive.state is ArchiveState.PROVEN:
        async with database.write() as db:
            await _move(db, archive, ArchiveState.REMOVING)
        archive = msgspec.structs.replace(archive, state=ArchiveState.REMOVING)
    rows = await asyncio.to_thread(Rows, await archives.reader(archive.name), None, archive.position)
    statement, position, deleted = relation.deletion(rows.columns), archive.position, 0
    groups = rows.tables()
    while (group := await asyncio.to_thread(next, groups, None)) is not None:
        for start in range(0, group[1].num_rows, BATCH):
            if stop():
                return deleted
            batch = group[1].slice(start, BATCH)
            deleted += await _delete(database, archive, statement, batch, position)
            position += batch.num_rows
            await asyncio.sleep(PAUSE)
    async with database.write() as db:
        await _move(db, archive, ArchiveState.REMOVED)
    LOG.info("%s: its rows are gone", archive.name)
    return deleted


async def _delete(database: Database, archive: Archive, statement: str, batch: pa.Table, position: int) -> int:
    """One batch: what was deleted and how far we are go into one transaction."""
    given = [column.cast(pa.string()).to_pylist() for column in batch.columns]
    async with database.write() as db:
        gone = {row[0] for row in await db.connection.fetch(statement, *given)}
        spared = [position + place for place in range(batch.num_rows) if place not in gone]
        if not await ledger.advance(db, archive, position, batch.num_rows, spared):
            raise Overtaken(archive.name)
    return len(gone)


async def purge(database: Database, relation: Relation, before: datetime, stop: Callable[[], bool]) -> int:
    """Deletes rows of which no archive is made; answers how many."""
    deleted = 0
    while not stop():
        async with database.write() as db:
            many = await db.run(Query(relation.purge(before, BATCH)))
        deleted += many
        if many < BATCH:
            break
        await asyncio.sleep(PAUSE)
    return deleted


async def expire(database: Database, archive: Archive) -> None:
    """Its time in the store is over too."""
    async with database.write() as db:
        await _move(db, archive, ArchiveState.EXPIRED)


async def sweep(database: Database, archives: Archives) -> None:
    """Removes the objects of archives that never counted or do so no more."""
    async with database.write() as db:
        litter = await ledger.litter(db)
    for archive in litter:
        await remove(archives, archive)
        async with database.write() as db:
            await ledger.clear(db, archive)


async def _move(db: Write, archive: Archive, to: ArchiveState) -> None:
    if not await ledger.move(db, archive, to):
        raise Overtaken(archive.name)
