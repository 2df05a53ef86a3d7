"""The cache: bytes of answers from the process, else from Redis, else from the database, each asked once at a time."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Self

import msgspec

from entrepot.kernel.cache.busts import Busts
from entrepot.kernel.cache.counts import Counts
from entrepot.kernel.cache.follower import Follower, Moment
from entrepot.kernel.cache.kind import Cached
from entrepot.kernel.cache.near import Entry, Near
from entrepot.kernel.cache.stored import Lock, Stored, name_of
from entrepot.kernel.db.causal import UNKNOWN, Bookmark, Progress
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.listener import listen
from entrepot.kernel.deferred import by_name
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.settings import Settings

if TYPE_CHECKING:
    from entrepot.kernel.cache.far import Far

LOG = logging.getLogger("entrepot.cache")
FAR = by_name("entrepot.kernel.cache.far:Far")
"""Imported where there is a Redis: its client costs each process 0.3 s of CPU."""
LAST_PARTS = (10, 25)
"""The last percents of an answer's time, in which it is renewed; each process draws one, so that they do not meet."""
MARGIN = 60.0  # seconds beyond the longest time of any kind for which busts are remembered
CLOCKS = 0.01  # seconds by which two processes may read the database's clock differently
PATIENCE = 2.0  # seconds in which another process is waited for that loads the same
PAUSE = 0.015
Load = Callable[[Progress], Awaitable[bytes]]
"""Asks the database, which must be as far as the progress says it was brought, and notes where it was."""


@dataclass(slots=True)
class Flight:
    """A load that goes on, and that others may wait for. It ends without either where its caller went away."""

    stamp: int
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    entry: Entry | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be got: an answer of that kind under that key, from `load` where nobody has it."""

    kind: Cached
    key: bytes
    tags: tuple[str, ...]
    load: Load


class Cache(AbstractAsyncContextManager["Cache"]):
    """The cache of one process. Nothing runs before the first call.

    `most_loads` calls of the database go on at a time, whatever Redis does.
    """

    def __init__(self, database: Database, settings: Settings, kinds: Iterable[Cached]) -> None:
        self.kinds = frozenset(kinds)
        self.database, self.settings = database, settings
        self.counts = Counts()
        self.near = Near(settings.cache_bytes)
        lasts = max((kind.ttl.total_seconds() for kind in self.kinds), default=0.0)
        self.busts = Busts(lasts + MARGIN, self.counts)
        self.follower = Follower(database, self.busts, self.near)
        self.far: Far | None = None
        if settings.redis_url:
            self.far = FAR(settings.redis_url, settings.redis_timeout, self.counts)
        self._flights: dict[bytes, Flight] = {}
        self._loads = asyncio.Semaphore(settings.cache_loads)
        self._tasks: set[asyncio.Task[None]] = set()
        self._follows = False
        least, most = LAST_PARTS
        self._last_part = (least + secrets.randbelow(most - least + 1)) / 100

    async def __aenter__(self) -> Self:
        self.database.heard_by.append(self._heard)
        return self

    async def __aexit__(self, *failure: object) -> None:
        self.database.heard_by.remove(self._heard)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.far is not None:
            await self.far.close()

    def _heard(self, written: Write) -> None:
        """A transaction of this process was committed."""
        for tag, xid in written.busts:
            self.busts.note(tag, xid, monotonic())
        self.follower.wake.set()

    async def answer(
        self, kind: Cached, ask: msgspec.Struct | None, load: Load, brought: Bookmark | None = None
    ) -> Entry | None:
        """The answer to this input: one that is kept, or what `load` answers. Raises what `load` raises.

        None where the caller has seen more than this process has heard of, and will have soon: it is to read without.
        """
        if not self._follows:
            self._follow()
        request = Request(kind, kind.key(ask), kind.tags(ask), load)
        ahead = None if brought is None or self.follower.has(brought) else brought
        while True:
            entry, now = self.near.get(request.key), monotonic()
            is_good = entry is not None and now < entry.ends and self.busts.is_good(entry.stamp, entry.tags)
            if entry is not None and is_good and (ahead is None or entry.suffices(ahead)):
                self.counts.near_hits += 1
                if now >= entry.renew_at:
                    self._renew(request, entry)
                return entry
            if ahead is not None:
                if not await self.follower.looks_anew():
                    return None
                ahead = None
                continue
            flight = self._flights.get(request.key)
            if flight is None or not self.busts.is_good(flight.stamp, request.tags):
                return await self._fly(request, None)
            self.counts.joined += 1
            await flight.landed.wait()
            if flight.error is not None:
                raise flight.error.with_traceback(None)
            if flight.entry is not None:
                return flight.entry

    def _follow(self) -> None:
        self._follows = True
        url = self.settings.database_direct_url or self.settings.database_url
        self._start(self.follower.run())
        self._start(listen(url, self.follower.wake.set))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _renew(self, request: Request, entry: Entry) -> None:
        """Begins to renew an entry while it is served."""
        entry.renew_at = entry.ends
        if request.key not in self._flights:
            self.counts.renewals += 1
            self._start(self._renewed(request, entry))

    async def _renewed(self, request: Request, entry: Entry) -> None:
        try:
            newer = await self._fly(request, entry)
        except Exception as error:  # noqa: BLE001 - who asks when its time is over is told
            LOG.info("%s was not renewed: %s", request.kind.name, str(error) or type(error).__name__)
            newer = None
        if newer is None:
            entry.renew_at = monotonic() + request.kind.ttl.total_seconds() / 20

    async def _fly(self, request: Request, old: Entry | None) -> Entry | None:
        """Gets it, for everybody who comes meanwhile. None: another process is at it, and `old` still holds."""
        flight = self._flights[request.key] = Flight(self.busts.stamp)
        try:
            flight.entry = await self._get(request, old)
        except Exception as error:
            flight.error = error
            raise
        finally:
            if self._flights.get(request.key) is flight:
                del self._flights[request.key]
            flight.landed.set()
        return flight.entry

    async def _get(self, request: Request, old: Entry | None) -> Entry | None:
        """From Redis, where it is newer than `old`, or from the database, by one process at a time."""
        moment = self.follower.moment
        if self.far is None or moment is None:
            return await self._load(request)
        name, token = name_of(moment.world, request.key), secrets.token_hex(8)
        until = monotonic() + PATIENCE
        while self.far.is_up and monotonic() < until:
            begun, stamp = monotonic(), self.busts.stamp
            found, lock = await self.far.get(name), Lock.UNKNOWN
            entry = self._taken_over(request, found, old, begun, stamp)
            if entry is None:
                lock, found = await self.far.take(name, token)
                entry = self._taken_over(request, found, old, begun, stamp)
            if lock is Lock.MINE:
                try:
                    return await self._load(request, self.far) if entry is None else entry
                finally:
                    self._start(self.far.give_up(name, token))
            if entry is not None or (lock is Lock.ANOTHERS and old is not None):
                return entry
            await asyncio.sleep(PAUSE)
        return await self._load(request, self.far)

    def _taken_over(
        self, request: Request, found: Stored | None, old: Entry | None, begun: float, stamp: int
    ) -> Entry | None:
        """What another process put into Redis, where it still holds, is newer, and knows of all that was written."""
        moment = self.follower.moment
        if found is None or moment is None or (old is not None and found.deadline <= old.deadline + CLOCKS):
            return None
        remains = found.deadline - moment.latest(begun)
        if remains <= 0 or not self.busts.is_seen(found.snapshot, request.tags):
            return None
        if self.database.replicas.all and not found.place:
            return None
        self.counts.far_hits += 1
        place = Bookmark(*moment.line, found.place) if found.place else None
        shows = Bookmark(*moment.line, found.shows) if found.shows else None
        ends = begun + remains
        renew_at = self._renewal(request.kind, ends)
        entry = Entry(found.body, request.tags, stamp, ends, renew_at, found.deadline, place, shows)
        self.near.put(request.key, entry)
        return entry

    async def _load(self, request: Request, far: "Far | None" = None) -> Entry:
        """From the database. An answer that may not know of a write that was heard of is kept nowhere."""
        await self._place()
        try:
            moment, stamp, begun = self.follower.moment, self.busts.stamp, monotonic()
            progress = Progress(self._least(moment, request.tags))
            self.counts.misses += 1
            body = await request.load(progress)
        finally:
            self._loads.release()
        shows, place = None if progress.uses_primary else progress.brought, progress.reached
        # A replica may be behind, but not behind the look: from then on the answer's time is counted.
        since = begun if shows is None or moment is None else moment.asked
        ends = since + request.kind.ttl.total_seconds()
        deadline = 0.0 if moment is None else moment.earliest(ends)
        entry = Entry(body, request.tags, stamp, ends, self._renewal(request.kind, ends), deadline, place, shows)
        is_placed = place is None or (moment is not None and place.line == moment.line)
        if moment is not None and is_placed and self.busts.is_good(stamp, request.tags):
            self.near.put(request.key, entry)
            milliseconds = int(1000 * (ends - monotonic()))
            if far is not None and milliseconds > 0:
                places = place.lsn if place else 0, shows.lsn if shows else 0
                stored = Stored(moment.snapshot, deadline, *places, body)
                await far.put(name_of(moment.world, request.key), stored, milliseconds)
        return entry

    def _least(self, moment: Moment | None, tags: tuple[str, ...]) -> Bookmark:
        """How far a replica must be for a load: it must have every bust of these that was heard of.

        Where these are in the log is known of those that the last look saw. With others, only the primary will do.
        """
        if moment is None or not self.busts.is_seen(moment.snapshot, tags):
            return UNKNOWN
        return Bookmark(*moment.line, moment.upto)

    async def _place(self) -> None:
        """Waits until few enough loads go on; raises `Unavailable` where that takes too long."""
        if not self._loads.locked():
            await self._loads.acquire()
            return
        try:
            async with asyncio.timeout(self.settings.pool_timeout):
                await self._loads.acquire()
        except TimeoutError:
            raise Unavailable(part="database") from None

    def _renewal(self, kind: Cached, ends: float) -> float:
        """When an answer that ends then is renewed."""
        return ends - kind.ttl.total_seconds() * self._last_part
