"""Retention: what is old is archived, proven, covered by a proven backup, and only then leaves the database."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic

import asyncpg
import msgspec
import stamina

from entrepot.kernel import clock
from entrepot.kernel.app import Apps, Expire
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.store.archives import Archives
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.alone import LEASE
from entrepot.kernel.upkeep.alone import alone as only_one
from entrepot.kernel.upkeep.archive import ledger, making, removing, restoring
from entrepot.kernel.upkeep.archive.making import Span
from entrepot.kernel.upkeep.archive.model import Archive, ArchiveState
from entrepot.kernel.upkeep.archive.refusals import RetentionRunning
from entrepot.kernel.upkeep.archive.relation import Relation
from entrepot.kernel.upkeep.evidence import covered

LOG = logging.getLogger("entrepot.retention")
MOST_ROWS = 1_000_000  # in one archive of single rows, or as many more as share their time with the last
NOW = Query("SELECT clock_timestamp()")
IN_A_REQUEST = 20.0  # seconds after which a run that a request started leaves the rest to the next


class RetentionRun(msgspec.Struct, kw_only=True):
    """What a run did, and what it left: `waiting` archives are proven, but no proven backup covers their rows yet."""

    archives: int = 0
    archived_rows: int = 0
    removed_rows: int = 0
    dropped_partitions: int = 0
    expired_archives: int = 0
    waiting: int = 0
    failures: list[str] = msgspec.field(default_factory=list)
    is_finished: bool = True


def check(settings: Settings, apps: Apps) -> None:
    """Raises `BadSettings` where the operator names a table that no rows may leave, or none at all."""
    leaves = {f"{app.name}.{name}" for app in apps for name, rule in app.retention.items() if isinstance(rule, Expire)}
    if wrong := sorted(set(settings.retention_days) - leaves):
        known = ", ".join(sorted(leaves))
        raise BadSettings(f"ENTREPOT_RETENTION_DAYS: no rows leave {wrong[0]!r} (they leave {known})")


class Run:
    """One run over every table that has a rule. `rows` is how many an archive of single rows holds at most, about.

    Even what is only read is read from the primary: a replica may not know yet what was done a moment ago.
    """

    def __init__(
        self,
        database: Database,
        archives: Archives,
        apps: Apps,
        settings: Settings,
        *,
        now: datetime,
        seconds: float = float("inf"),
        rows: int = MOST_ROWS,
    ) -> None:
        self.database, self.archives, self.apps, self.settings, self.now = database, archives, apps, settings, now
        self.ends = monotonic() + seconds
        self.rows = rows
        self.done = RetentionRun()

    def is_late(self) -> bool:
        """Whether the run's time is over."""
        if monotonic() > self.ends:
            self.done.is_finished = False
        return not self.done.is_finished

    def relations(self) -> Iterator[Relation]:
        """Every table that rows may leave."""
        for app in self.apps:
            for table in app.tables.sorted_tables[::-1]:  # what refers to others goes before them
                rule = app.retention.get(table.name)
                if isinstance(rule, Expire):
                    days = self.settings.retention_days.get(f"{app.name}.{table.name}")
                    after = rule.after if days is None else timedelta(days=days)
                    yield Relation(app, table, replace(rule, after=after))

    async def __call__(self) -> RetentionRun:
        """All of it. What fails for one table does not keep the others; it is told, and tried again next time."""
        for relation in self.relations():
            if self.is_late():
                break
            try:
                await self._keep(relation)
            except Exception as error:
                LOG.exception("retention of %s failed", relation.name)
                self.done.failures.append(f"{relation.name}: {type(error).__name__}: {error}")
        try:
            await removing.sweep(self.database, self.archives)
        except Exception as error:
            LOG.exception("objects that are not needed were not removed")
            self.done.failures.append(f"sweep: {type(error).__name__}: {error}")
        return self.done

    async def _keep(self, relation: Relation) -> None:
        """Holds one table to its rule: first what was begun, then what is due now, then what is cold."""
        before = self.now - relation.rule.after
        if not relation.rule.archive:
            self.done.removed_rows += await removing.purge(self.database, relation, before, self.is_late)
            return
        for dead in await self._archives(relation, ArchiveState.WRITING):
            async with self.database.write() as db:
                await ledger.move(db, dead, ArchiveState.VOID, "it was cut off")
        ready = await self._archives(relation, ArchiveState.PROVEN, ArchiveState.REMOVING)
        for archive in ready:
            await self._remove(relation, archive, has_waited=True)
        async for span in self._due(relation, before):
            archive = await making.make(self.database, self.archives, relation, span)
            self.done.archives += 1
            self.done.archived_rows += archive.rows
            await self._remove(relation, archive)
        await self._expire(relation)

    async def _archives(self, relation: Relation, *states: ArchiveState) -> list[Archive]:
        async with self.database.write() as db:
            return await ledger.in_state(db, relation.app.name, relation.table.name, *states)

    async def _due(self, relation: Relation, before: datetime) -> AsyncIterator[Span]:
        """What is to be archived now, a span at a time."""
        if relation.is_partitioned:
            async with self.database.write() as db:
                old = [each for each in await partitions.of(db, relation.name) if each.upper <= before]
            taken = {each.partition for each in await self._archives(relation, ArchiveState.PROVEN)}
            for each in old:
                if each.name not in taken and not self.is_late():
                    yield Span(each.lower, each.upper, each.name)
            return
        while not self.is_late():
            async with self.database.write() as db:
                await db.connection.execute("SET LOCAL statement_timeout = 0")
                lower = await ledger.busy_until(db, relation.app.name, relation.table.name)
                row = await db.connection.fetchrow(relation.bound(lower, before, self.rows))
            if row is None:
                return
            yield Span(lower, row["at"] or before)

    async def _remove(self, relation: Relation, archive: Archive, *, has_waited: bool = False) -> None:
        """Lets the rows go that the archive holds, if a backup has them too.

        One that has waited is read back once more: the store may have lost it since, or what we know of it may be older
        than the store, after the database was restored to an earlier moment.
        """
        if self.is_late():
            return
        assert archive.proven_at is not None
        if self.settings.retention_needs_backup and archive.state is ArchiveState.PROVEN:
            async with self.database.write() as db:
                if not await covered(db, archive.proven_at):
                    self.done.waiting += 1
                    return
        if has_waited and (reason := await restoring.damage(self.archives, archive)) is not None:
            await self._distrust(relation, archive, reason)
            return
        if archive.partition is None:
            self.done.removed_rows += await removing.delete_rows(
                self.database, self.archives, relation, archive, self.is_late
            )
            return
        async for attempt in stamina.retry_context(on=asyncpg.LockNotAvailableError, attempts=8, timeout=60):
            with attempt:
                if await removing.drop_partition(self.database, relation, archive):
                    self.done.dropped_partitions += 1
                    self.done.removed_rows += archive.rows

    async def _distrust(self, relation: Relation, archive: Archive, reason: str) -> None:
        """Removes nothing for an archive that is not what was proven. Another is made, if no row has left by this."""
        self.done.failures.append(f"{relation.name}: archive {archive.id} is not what was proven: {reason}")
        LOG.error("%s is not what was proven: %s", archive.name, reason)
        if archive.state is ArchiveState.PROVEN:
            async with self.database.write() as db:
                await ledger.move(db, archive, ArchiveState.VOID, reason)

    async def _expire(self, relation: Relation) -> None:
        """What lay in the store for as long as the rule says goes there too."""
        if relation.rule.cold is None:
            return
        async with self.database.write() as db:
            cold = await ledger.cold(db, relation.app.name, relation.table.name, self.now - relation.rule.cold)
        for archive in cold:
            await removing.expire(self.database, archive)
            self.done.expired_archives += 1


class RetentionFailed(Exception):
    """A run could not do all that was due."""


def alone(database: Database, lease: timedelta = LEASE) -> AbstractAsyncContextManager[None]:
    """One run at a time, on any machine; refuses with `RetentionRunning`. Raises `RetentionFailed` for a lost lease."""
    return only_one(database, "retention", RetentionRunning(), RetentionFailed, lease)


async def _now(database: Database) -> datetime:
    """By the clock that is behind, this machine's or the database's: by one that is ahead, what is young would go."""
    async with database.read() as db:
        theirs: datetime = await db.value(NOW)
    return min(clock.now(), theirs)


async def run(database: Database, archives: Archives, apps: Apps, settings: Settings) -> RetentionRun:
    """A whole run, for as long as it takes."""
    async with alone(database):
        return await Run(database, archives, apps, settings, now=await _now(database))()


async def run_every_day(database: Database, archives: Archives, apps: Apps, settings: Settings) -> None:
    """The nightly run. Raises what failed, so that the tick says so."""
    done = await run(database, archives, apps, settings)
    if done.failures:
        raise RetentionFailed("; ".join(done.failures))


async def run_now(database: Database, archives: Archives, apps: Apps, settings: Settings) -> RetentionRun:
    """Let old rows go now.

    Archives, proves and removes what is due, for twenty seconds at most: `is_finished` tells whether all was done.
    What was begun is gone on with by the next run, be it the nightly one. Refuses while another run is at work.
    """
    async with alone(database):
        return await Run(database, archives, apps, settings, now=await _now(database), seconds=IN_A_REQUEST)()
