"""Brings an archive's rows back, and tells of any archive whether it still is what was proven."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import msgspec
import pyarrow as pa
from obstore.exceptions import BaseError

from entrepot.kernel.app import Apps
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.store.archives import Archives
from entrepot.kernel.store.objects import ObjectMissing
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.archive import ledger
from entrepot.kernel.upkeep.archive.making import read_back
from entrepot.kernel.upkeep.archive.model import Archive, ArchiveState, Manifest
from entrepot.kernel.upkeep.archive.parquet import Mismatch, Rows, csv_of
from entrepot.kernel.upkeep.archive.refusals import NoSuchArchive, NotRemoved, NotTheArchive
from entrepot.kernel.upkeep.archive.relation import quoted, speak_plainly


async def found(db: Read, archive_id: UUID) -> Archive:
    """The archive of that id; raises `NoSuchArchive`."""
    archive = await ledger.find(db, archive_id)
    if archive is None:
        raise NoSuchArchive(archive_id)
    return archive


async def fault(archives: Archives, archive: Archive) -> str | None:
    """What is wrong with an archive in the store, or with the store; None where nothing is."""
    try:
        return await damage(archives, archive)
    except (BaseError, OSError) as error:
        return f"{type(error).__name__}: {error}"


async def damage(archives: Archives, archive: Archive) -> str | None:
    """What is wrong with an archive, read whole; None where nothing is. Raises what the store raises."""
    try:
        manifest = msgspec.json.decode(await archives.get(archive.manifest), type=Manifest)
        held, _ = await read_back(archives, archive, list(manifest.columns))
    except ObjectMissing as missing:
        return f"{missing} is missing"
    except (Mismatch, msgspec.DecodeError) as error:
        return f"{type(error).__name__}: {error}"
    if held.rows != archive.rows or held.digest != archive.content_hash:
        return f"it holds {held.rows} rows, or others, and not the {archive.rows} that were proven"
    if manifest.content_hash != held.digest.hex() or manifest.rows != held.rows:
        return "its manifest speaks of other rows"
    return None


async def restore(database: Database, archives: Archives, apps: Apps, archive_id: UUID, into: str | None = None) -> int:
    """Brings its rows back, all or none; answers how many.

    Without `into` they go to their own table, and the archive does not count from then on. With `into`, a new table of
    their schema, they go there, and nothing else changes; the database must be the owner's then. What the archive
    holds is checked first. Raises `NoSuchArchive`, `NotRemoved`, `NotTheArchive`, and what PostgreSQL says of rows that
    it does not take.
    """
    async with database.write() as db:
        archive = await found(db, archive_id)
    if into is None and archive.state is not ArchiveState.REMOVED:
        raise NotRemoved(archive.state)
    if (reason := await fault(archives, archive)) is not None:
        raise NotTheArchive(reason)
    rows = await asyncio.to_thread(Rows, await archives.reader(archive.name))
    async with database.write() as db:
        await speak_plainly(db)
        if into is not None:
            await _make_table(db, archive, into)
        elif await ledger.move(db, archive, ArchiveState.RESTORED):
            await _make_room(db, apps, archive)
        else:
            raise NotRemoved("being restored")
        await db.connection.copy_to_table(
            into or archive.table_name,
            schema_name=archive.app,
            columns=[column.name for column in rows.columns],
            source=_csv(rows, frozenset(archive.spared)),
            format="csv",
        )
    return archive.rows - len(archive.spared)


async def _make_table(db: Write, archive: Archive, name: str) -> None:
    """An empty table like the archive's own, without its keys."""
    own = f"{quoted(archive.app)}.{quoted(archive.table_name)}"
    await db.connection.execute(
        f"CREATE TABLE {quoted(archive.app)}.{quoted(name)} (LIKE {own} INCLUDING DEFAULTS INCLUDING GENERATED)"
    )


async def _make_room(db: Write, apps: Apps, archive: Archive) -> None:
    """The partitions that its rows need, where their table has any."""
    for app in apps:
        declared = app.partitions.get(archive.table_name)
        if app.name == archive.app and declared is not None and archive.lower is not None:
            await partitions.cover(db, app, declared, archive.lower, archive.upper - timedelta(microseconds=1))


async def _csv(rows: Rows, spared: frozenset[int]) -> AsyncIterator[bytes]:
    """The rows that are the archive's own, piece by piece."""
    groups = rows.tables()
    while (group := await asyncio.to_thread(next, groups, None)) is not None:
        first, table = group
        if spared:
            own = [place not in spared for place in range(first, first + table.num_rows)]
            table = table.filter(pa.array(own, pa.bool_()))
        yield await asyncio.to_thread(csv_of, table)
