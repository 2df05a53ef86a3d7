"""SQL of the ledger of archives: one statement a function, each move from a state that is named."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.upkeep.archive.model import Archive, ArchiveState

OURS = """id, app, table_name, partition, lower, upper, state, rows, size, content_hash, position, spared, started_at,
    proven_at, removed_at"""
ADD = Query(f"""
    INSERT INTO core.archives (id, app, table_name, partition, lower, upper, schema_revision)
    VALUES (:id, :app, :table, :partition, :lower, :upper, :revision) RETURNING {OURS}
""")
PROVE = Query(f"""
    UPDATE core.archives SET state = 'proven', rows = :rows, size = :size, content_hash = :digest,
        proven_at = clock_timestamp()
    WHERE id = :id AND state = 'writing' RETURNING {OURS}
""")
MOVE = Query("""
    UPDATE core.archives SET state = :to::text, error = coalesce(:error::text, error),
        removed_at = CASE WHEN :to::text = 'removed' THEN clock_timestamp() ELSE removed_at END
    WHERE id = :id AND state = :was::text
""")
ADVANCE = Query("""
    UPDATE core.archives SET position = position + :count::bigint, spared = spared || :spared::bigint[]
    WHERE id = :id AND state = 'removing' AND position = :was
""")
FIND = Query(f"SELECT {OURS} FROM core.archives WHERE id = :id")
LIST = Query(f"""
    SELECT {OURS} FROM core.archives
    WHERE state <> 'void' AND (:table::text IS NULL OR app || '.' || table_name = :table)
    ORDER BY started_at, id
""")
WITH_OBJECTS = Query(f"""
    SELECT {OURS} FROM core.archives WHERE state IN ('proven', 'removing', 'removed', 'restored')
    ORDER BY started_at, id
""")
IN_STATE = Query(f"""
    SELECT {OURS} FROM core.archives WHERE app = :app AND table_name = :table AND state = ANY(:states::text[])
    ORDER BY started_at, id
""")
BUSY_UNTIL = Query("""
    SELECT max(upper) FROM core.archives
    WHERE app = :app AND table_name = :table AND partition IS NULL AND state IN ('writing', 'proven', 'removing')
""")
COLD = Query(f"""
    SELECT {OURS} FROM core.archives WHERE app = :app AND table_name = :table AND state IN ('removed', 'restored')
        AND removed_at < :before
""")
LITTER = Query(f"SELECT {OURS} FROM core.archives WHERE state IN ('void', 'expired') AND cleared_at IS NULL")
CLEAR = Query("UPDATE core.archives SET cleared_at = clock_timestamp() WHERE id = :id")
SCHEMA_REVISION = "SELECT version_num FROM {}.alembic_version"


async def add(
    db: Write,
    id: UUID,  # noqa: A002 - the column's name
    app: str,
    table: str,
    partition: str | None,
    lower: datetime | None,
    upper: datetime,
    revision: str,
) -> Archive:
    """Notes that an archive is being written."""
    return await db.one(
        Archive, ADD, id=id, app=app, table=table, partition=partition, lower=lower, upper=upper, revision=revision
    )


async def prove(db: Write, archive: Archive, rows: int, size: int, digest: bytes) -> Archive | None:
    """Notes that the object was read back and is what the rows were; None where somebody gave it up meanwhile."""
    return await db.maybe(Archive, PROVE, id=archive.id, rows=rows, size=size, digest=digest)


async def move(db: Write, archive: Archive, to: ArchiveState, error: str | None = None) -> bool:
    """Compare-and-set of the state; False where somebody else was first."""
    return await db.run(MOVE, id=archive.id, was=archive.state, to=to, error=error) == 1


async def advance(db: Write, archive: Archive, was: int, count: int, spared: Sequence[int]) -> bool:
    """Notes that so many more rows were dealt with, in the transaction that did; False where somebody else did."""
    return await db.run(ADVANCE, id=archive.id, was=was, count=count, spared=list(spared)) == 1


async def find(db: Read, id: UUID) -> Archive | None:  # noqa: A002 - the column's name
    """One archive."""
    return await db.maybe(Archive, FIND, id=id)


async def everything(db: Read, table: str | None = None) -> list[Archive]:
    """Every archive that counts, the oldest first; `table` is "app.table"."""
    return await db.all(Archive, LIST, table=table)


async def with_objects(db: Read) -> list[Archive]:
    """Every archive whose object must be there, the oldest first."""
    return await db.all(Archive, WITH_OBJECTS)


async def in_state(db: Read, app: str, table: str, *states: ArchiveState) -> list[Archive]:
    """The archives of a table that are in one of these states, the oldest first."""
    return await db.all(Archive, IN_STATE, app=app, table=table, states=list(states))


async def busy_until(db: Read, app: str, table: str) -> datetime | None:
    """Up to where rows of the table have an archive already and wait to leave."""
    found: datetime | None = await db.value(BUSY_UNTIL, app=app, table=table)
    return found


async def cold(db: Read, app: str, table: str, before: datetime) -> list[Archive]:
    """The archives whose rows left the database before then."""
    return await db.all(Archive, COLD, app=app, table=table, before=before)


async def litter(db: Read) -> list[Archive]:
    """The archives whose objects are not needed and may still be there."""
    return await db.all(Archive, LITTER)


async def clear(db: Write, archive: Archive) -> None:
    """Notes that its objects are gone."""
    await db.run(CLEAR, id=archive.id)
