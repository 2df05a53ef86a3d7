"""Cron: every tick of a task is one row, so it runs once however many workers there are."""

from datetime import UTC, datetime, timedelta

from croniter import croniter

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query

CLAIM = Query("""
    INSERT INTO core.cron_ticks (task, tick) VALUES (:task, :tick) ON CONFLICT (task, tick) DO NOTHING
""")
FINISH = Query("""
    UPDATE core.cron_ticks SET finished_at = now(), error = :error WHERE task = :task AND tick = :tick
""")
PURGE = Query("DELETE FROM core.cron_ticks WHERE started_at < now() - interval '30 days'")


def next_tick(cron: str, after: datetime) -> datetime:
    """The first moment after `after` that the expression names; five fields, or six with the seconds last. UTC."""
    found: datetime = croniter(cron, after).get_next(datetime)
    return found.astimezone(UTC)


def last_tick(cron: str, at: datetime) -> datetime:
    """The last moment up to and including `at` that the expression names. UTC."""
    found: datetime = croniter(cron, at + timedelta(microseconds=1)).get_prev(datetime)
    return found.astimezone(UTC)


async def claim_tick(database: Database, task: str, tick: datetime) -> bool:
    """Whether this worker is the one that runs the tick."""
    async with database.write() as db:
        return await db.run(CLAIM, task=task, tick=tick) == 1


async def finish_tick(database: Database, task: str, tick: datetime, error: str | None) -> None:
    """Notes how the run ended."""
    async with database.write() as db:
        await db.run(FINISH, task=task, tick=tick, error=error)


async def purge_ticks(db: Write) -> None:
    """Forgets ticks of over thirty days ago."""
    await db.run(PURGE)
