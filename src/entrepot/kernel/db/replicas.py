"""The replicas of a database: which of them may serve a read, and how far each of them is behind."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from itertools import count
from typing import Self, TypeVar

import asyncpg
from prometheus_client import Counter

from entrepot.kernel.db.causal import UNKNOWN, Bookmark, Progress
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.pool import Pool
from entrepot.kernel.db.replica import FAULTS, LOOK, PATIENCE, PLACE, NotThere, Replica, Track, watch
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.settings import Settings

T = TypeVar("T")
READS = Counter("entrepot_causal_reads", "Reads that a replica may serve, by what became of them.", ("served",))
HERE = f"SELECT {PLACE}"


class Replicas:
    """All of one primary. Where there are none, nothing is watched, asked or told."""

    def __init__(self, settings: Settings, primary: Pool) -> None:
        self.primary = primary
        self.track = Track()
        self.has_statements = settings.statement_cache > 0
        self._watched_at = settings.database_direct_url or primary.url
        self.all = tuple(Replica(url, settings, self.track) for url in settings.replica_urls)
        self.served = dict.fromkeys(("replica", "primary", "behind", "failed"), 0)
        """How many reads a replica served, how many the primary at once, or because a replica was behind or failed."""
        self._turn = count()
        self._watchers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for replica in self.all:
            await replica.pool.__aenter__()
        if self.all:
            looks = [watch(self._watched_at, LOOK, self._seen, lambda _why: None)]
            looks += [replica.watch() for replica in self.all]
            self._watchers = [asyncio.create_task(look) for look in looks]
        return self

    async def __aexit__(self, *failure: object) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for replica in self.all:
            await replica.pool.__aexit__(*failure)

    def _seen(self, _connection: asyncpg.Connection, row: asyncpg.Record, began: float) -> None:
        self.track.add(began, Bookmark(row["system"], row["timeline"], row["lsn"]))

    def choose(self, progress: Progress) -> Replica | None:
        """One that may serve the caller, in turn, and best one that need not be waited for; or none."""
        brought = progress.brought
        if not self.all or (brought is not None and brought.line != self.track.line):
            return None
        able = [replica for replica in self.all if replica.can_serve(progress)]
        able = [replica for replica in able if replica.has(progress)] or able
        return able[next(self._turn) % len(able)] if able else None

    async def read(
        self, progress: Progress, work: Callable[[Read], Awaitable[T]], primary: Callable[[], Awaitable[T]]
    ) -> T:
        """What `work` answers on a replica, or else what `primary` does. What a replica does wrong, nobody is told."""
        replica, served = self.choose(progress), "primary"
        if replica is not None:
            try:
                answer = await replica.read(progress, work)
            except NotThere:
                served = "behind"
            except (*FAULTS, TimeoutError):
                served = "failed"
            else:
                self._count("replica")
                return answer
        self._count(served)
        progress.uses_primary = True
        return await primary()

    def _count(self, served: str) -> None:
        self.served[served] += 1
        READS.labels(served).inc()

    async def note(self, progress: Progress) -> None:
        """Asks the primary how far the caller has seen who has just read or written there.

        Never fails: where it cannot be asked, the caller gets a bookmark that leads to the primary.
        """
        progress.reached = UNKNOWN
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self.primary.lent() as connection,
                # In a transaction, which a pooler keeps on one server.
                nullcontext() if self.has_statements else connection.transaction(),
            ):
                row = await connection.fetchrow(HERE)
            assert row is not None
        except (Unavailable, TimeoutError, *FAULTS):
            return
        if system := self.track.line[0]:
            progress.reach(Bookmark(system, row["timeline"], row["lsn"]))
