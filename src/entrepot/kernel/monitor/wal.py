"""How far the archives of the WAL are behind: the house's own, and the server's where it has an archive_command."""

import asyncio
from datetime import datetime, timedelta

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read
from entrepot.kernel.monitor import looks, store
from entrepot.kernel.monitor.model import Reading
from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.upkeep.backup import work as backups
from entrepot.kernel.upkeep.backup.model import BackupFailed

OURS, THEIRS = "ENTREPOT_BACKUP_URL", "archive_command"
"""What the two are called, by the setting that turns each on."""
BEHIND = "wal_behind"
"""The metric of ours, in seconds."""
PATIENCE = 8.0  # seconds in which the backups' store must answer


async def behind(database: Database, settings: Settings) -> list[Reading]:
    """Of each archive that there is, by how many seconds."""
    async with database.read() as db:
        state, known = await looks.wal(db), await _known(db)
    found = []
    if state["is_archived_by_command"]:
        failed, age = state["command_failed_with"], state["command_behind_seconds"]
        told = f"it fails with {failed}" if failed else "it does not end, or is empty"
        found.append(Reading(THEIRS, age, f"{told}; the last that it took, it took {age:.0f} s ago" if age else "well"))
    if settings.backup_url:
        # Where nobody has seen it yet, nothing of all that was ever written is known to be in it.
        found.append(await _ours(settings, state["now"], known or state["made_at"], state["made_at"]))
    return found


async def reached(db: Read, settings: Settings) -> dict[str, datetime]:
    """Up to when each archive has the WAL; ours as a worker saw it last: who asks here must not wait for the store."""
    state, found = await looks.wal(db), {}
    if state["is_archived_by_command"]:
        found[THEIRS] = state["now"] - timedelta(seconds=state["command_behind_seconds"])
    if settings.backup_url and (known := await _known(db)):
        found[OURS] = known
    return found


async def _known(db: Read) -> datetime | None:
    """Up to when ours had it when it was seen last."""
    metric = await store.newest(db, BEHIND)
    return metric.timestamp - timedelta(seconds=metric.metric_value) if metric else None


async def _ours(settings: Settings, now: datetime, known: datetime, made_at: datetime) -> Reading:
    """A store that cannot be looked at takes no WAL either: what it held when it was seen last grows older."""
    try:
        async with asyncio.timeout(PATIENCE):
            seen = await backups.reaches(settings)
        known, told = seen or made_at, f"it reaches {seen:%Y-%m-%d %H:%M:%S} UTC" if seen else "it is empty"
    except TimeoutError:
        told = f"the backups' store did not answer within {PATIENCE:.0f} s"
    except (BackupFailed, BadSettings) as failed:
        told = f"it cannot be looked at: {failed}"
    return Reading(OURS, max(0.0, (now - known).total_seconds()), told)
