"""What the worker and the command line do with backups: make one and note it, verify one and note that, prune."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep.alone import alone
from entrepot.kernel.upkeep.backup import ledger, server
from entrepot.kernel.upkeep.backup.create import create
from entrepot.kernel.upkeep.backup.model import Backup, BackupFailed, Kind, Outcome, Proof
from entrepot.kernel.upkeep.backup.place import Place, place_of
from entrepot.kernel.upkeep.backup.programs import Programs, apart, find
from entrepot.kernel.upkeep.backup.prune import Pruned, prune
from entrepot.kernel.upkeep.backup.restore import on_the_way, whole
from entrepot.kernel.upkeep.backup.verify import verify
from entrepot.kernel.upkeep.backup.wal import missing

PROVEN_FOR = timedelta(days=6, hours=12)
"""The task that asks for it comes daily; after seven days it has come again."""
FOLLOWS = timedelta(minutes=5)
"""How far the archive of the WAL may be behind before somebody should look."""


@dataclass(frozen=True)
class Standing:
    """How backups stand; each lack and note comes with what mends it."""

    lacks: list[tuple[str, str]]
    notes: list[tuple[str, str]]
    alarms: list[str]
    reach: str
    follows: bool


async def make(settings: Settings, database: Database, *, incremental: bool = False) -> Backup:
    """Takes a backup and notes it in the ledger. Raises `BackupFailed`."""
    backup = await create(settings, incremental=incremental)
    async with database.write() as db:
        await ledger.add_backup(db, backup)
    return backup


async def prove(
    settings: Settings, database: Database, apps: Apps, which: UUID | None = None, *, unsealed: bool = False
) -> Proof:
    """Verifies a backup and notes the outcome in the ledger. Raises `BackupFailed` where it cannot begin."""
    proof = await verify(settings, apps, which, unsealed=unsealed)
    async with database.write() as db:
        await ledger.add_proof(db, proof)
    return proof


async def clear(settings: Settings, database: Database) -> Pruned:
    """Removes what the window no longer needs. Raises `BackupFailed`."""
    place = await _place(settings)
    async with database.read() as db:
        proven = [verdict for verdict in await ledger.verdicts(db) if verdict.outcome == Outcome.PROVEN]
    newest = max(proven, key=lambda verdict: verdict.covers_until, default=None)
    window = timedelta(days=settings.backup_window)
    kept = newest.backup if newest else None
    return await apart(Programs(Path()), prune, place, clock.now(), window, settings.backup_dailies, kept)


async def hourly(settings: Settings, database: Database) -> None:
    """A full backup where there is no sound one since the hour of the settings last struck, and then what is old goes.

    Else an incremental one, if wanted. A worker that was away at that hour makes up for it. What takes longer than an
    hour is not begun a second time by another worker.
    """
    if not settings.backup_url:
        return
    busy = BackupFailed("a backup is at work already")
    try:
        async with alone(database, "backup", busy, BackupFailed):
            await _what_is_due(settings, database)
    except BackupFailed as failed:
        if failed is not busy:
            raise


async def _what_is_due(settings: Settings, database: Database) -> None:
    there = await apart(Programs(Path()), sound, await _place(settings))
    if needs_full(there, clock.now(), settings.backup_hour):
        await make(settings, database)
        await clear(settings, database)
    elif settings.backup_hourly:
        await make(settings, database, incremental=True)


def needs_full(there: Sequence[Backup], now: datetime, hour: int) -> bool:
    """Whether no full backup was begun since that hour last struck."""
    struck = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    due = struck if struck <= now else struck - timedelta(days=1)
    return not any(backup.kind is Kind.FULL and backup.began_at >= due for backup in there)


def sound(place: Place) -> list[Backup]:
    """The backups that now can be reached from: sealed if there are keys, and with no gap in the WAL behind them."""
    names = place.segments()
    return [
        backup
        for backup in whole(on_the_way(place, place.backups()))
        if (backup.key is not None or not place.keys)
        and missing(names, backup.last_segment, backup.cluster.segment_size) is None
    ]


def faults(place: Place) -> list[tuple[str, str]]:
    """What keeps the newest backup from being restored up to now, with what mends it."""
    there = on_the_way(place, place.backups())
    found = [(str(damaged), "remove its folder from the store") for damaged in place.damaged()]
    if not there:
        return [*found, ("there is no backup", "entrepot backup create")]
    newest = there[-1]
    if newest not in whole(there):
        found.append((f"backup {newest.id} adds to {newest.parent}, which is missing", "entrepot backup create"))
    if place.keys and newest.key is None:
        found.append(("the newest backup is not sealed, though there are keys", "entrepot backup create"))
    if (lost := missing(place.segments(), newest.last_segment, newest.cluster.segment_size)) is not None:
        found.append((f"WAL segment {lost} is missing in the archive", "entrepot backup create"))
    return found


async def weekly(settings: Settings, database: Database, apps: Apps) -> None:
    """Verifies the newest backup, once the last good proof is about a week old.

    Raises `BackupFailed`, which the task's tick notes, where it is not proven.
    """
    if not settings.backup_url or not await apart(Programs(Path()), (await _place(settings)).backups):
        return
    async with database.read() as db:
        covered = await ledger.covers_until(db)
    if covered is not None and clock.now() - covered < PROVEN_FOR:
        return
    proof = await prove(settings, database, apps)
    if proof.outcome is not Outcome.PROVEN:
        raise BackupFailed(f"the backup {proof.backup} is not proven: {'; '.join(proof.findings)}")


async def _place(settings: Settings) -> Place:
    async with server.connected(server.address(settings)) as connection:
        return place_of(settings, (await server.cluster(connection)).system)


async def reaches(settings: Settings) -> datetime | None:
    """Up to when the WAL is archived, if any is. Raises `BackupFailed`; who cancels it does not wait for the store."""
    place = await _place(settings)
    position = await asyncio.to_thread(place.position)
    return position.at if position else None


async def alarms(settings: Settings, database: Database) -> list[str]:
    """What is wrong with the proofs: the last failed, or the last good one is too old, or there is none."""
    async with database.read() as db:
        failure, covered = await ledger.last_failure(db), await ledger.covers_until(db)
    found = [f"the last verification failed: {failure[0]}"] if failure else []
    limit = timedelta(days=settings.backup_proof_limit)
    if covered is None:
        found.append("no backup was ever proven")
    elif (age := clock.now() - covered) > limit:
        found.append(f"the last proven backup is {age.days} days old, and may be {limit.days}")
    return found


async def standing(settings: Settings) -> Standing:
    """What `entrepot doctor` tells. Raises `BackupFailed` where the server, its programs or the place are not there."""
    async with server.connected(server.address(settings)) as connection:
        if lacks := await server.lacks(connection):
            return Standing(lacks, [], [], "is not looked at", follows=False)
        notes = await server.notes(connection)
        cluster, now = await server.cluster(connection), await server.now(connection)
    find(cluster.major, settings.postgres_programs)
    place, programs = place_of(settings, cluster.system), Programs(Path())
    position, lacks = await apart(programs, place.position), await apart(programs, faults, place)
    async with Database(settings.database_url, settings) as database:
        told = await alarms(settings, database)
    reach = f"reaches {position.at:%Y-%m-%d %H:%M:%S} UTC" if position else "is empty"
    return Standing(lacks, notes, told, reach, position is not None and now - position.at < FOLLOWS)
