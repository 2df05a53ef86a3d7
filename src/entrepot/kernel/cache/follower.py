"""The follower: reads from the outbox what is to be forgotten, and knows the database's clock and its last snapshot."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from entrepot.kernel.cache.busts import TOPIC, Busts
from entrepot.kernel.cache.counts import Counts
from entrepot.kernel.cache.near import Near
from entrepot.kernel.db.causal import Bookmark
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.work import outbox
from entrepot.kernel.work.outbox import NOW_AND_LAST, Place, Snapshot

LOG = logging.getLogger("entrepot.cache")
POLL = 1.0  # seconds after which the outbox is read where no bell was heard
PAGE = 1000
LONGEST_PAUSE = 10.0
# The timeline is part of the world: after a failover, transaction ids are given out a second time.
PLACE = Query("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
LOOK = Query(f"""
    SELECT {NOW_AND_LAST}, extract(epoch FROM clock_timestamp())::float8 AS at,
        (SELECT system_identifier FROM pg_control_system()) AS system, d.oid::bigint AS database,
        ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int AS timeline,
        (pg_current_wal_insert_lsn() - '0/0')::bigint AS upto
    FROM pg_database d WHERE d.datname = current_database()
""")
WAIT = 0.05  # seconds that a caller waits for a look


@dataclass(frozen=True, slots=True)
class Moment:
    """A look at the primary: what it saw, its clock (Unix seconds), and this process's before and after."""

    line: tuple[int, int]
    """The system and the timeline."""
    world: str
    """These and the database: snapshots of two worlds have nothing in common."""
    snapshot: Snapshot
    at: float
    asked: float
    heard: float
    lsn: int
    """Where the log was before that; what was committed before this place was passed is in the snapshot."""
    upto: int
    """Where the log was after that: all that is in the snapshot was committed before this place."""

    def earliest(self, when: float) -> float:
        """The database's clock at that time of this process's, if not later."""
        return self.at + when - self.heard

    def latest(self, when: float) -> float:
        """The database's clock at that time of this process's, if not earlier."""
        return self.at + when - self.asked

    def has(self, bookmark: Bookmark) -> bool:
        """Whether it saw all that was committed when that bookmark was given out."""
        return bookmark.line == self.line and self.lsn > bookmark.lsn


class Follower:
    """Keeps `busts` up to date from the first look on. `near` is emptied whenever something may have been missed."""

    def __init__(self, database: Database, busts: Busts, near: Near) -> None:
        self.database, self.busts, self.near = database, busts, near
        self.moment: Moment | None = None
        """The last look; a load that begins after it sees at least what it saw."""
        self.told = Counts()
        self.wake = asyncio.Event()
        self._next_look = asyncio.Event()

    def has(self, bookmark: Bookmark) -> bool:
        """Whether every bust that a caller with this bookmark may have seen the cause of was heard of."""
        return self.moment is not None and self.moment.has(bookmark)

    async def looks_anew(self) -> bool:
        """Whether a look was done, in time, that began after this call: it has whatever the caller has seen."""
        called, look = monotonic(), self._next_look
        self.wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT):
                await look.wait()
        return self.moment is not None and self.moment.asked >= called

    async def run(self) -> None:
        """Until cancelled."""
        pause = 0.1
        while True:
            self.wake.clear()
            look, self._next_look = self._next_look, asyncio.Event()
            try:
                await self.read()
                look.set()
                pause = 0.1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is read again from the same place
                LOG.warning("cannot read the outbox: %s; again in %.1f s", str(error) or type(error).__name__, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self.wake.wait()

    async def read(self) -> None:
        """Hears of every bust that is committed by now."""
        async with self.database.read() as db:
            now = await look(db)
            last = self.moment
            if last is None or last.world != now.world or not now.snapshot.covers(last.snapshot):
                self._start_over(now.snapshot)
            else:
                place = Place(last.snapshot, now.snapshot, 0)
                while (place := await self._page(db, place)).row:
                    pass
                if not await outbox.is_kept(db, Place.after(last.snapshot)):
                    self._start_over(now.snapshot)
        self.busts.forget_old(monotonic(), now.snapshot)
        self.moment = now
        self.told = self.busts.counts.report(self.told)

    def _start_over(self, seen: Snapshot) -> None:
        self.busts.start_over(seen)
        self.near.clear()

    async def _page(self, db: Read, place: Place) -> Place:
        """Reads on; the answered place has no row where the window is at its end."""
        rows = await outbox.page(db, place, PAGE, (TOPIC,))
        for row in rows:
            self.busts.note(row["about"], row["xid"], monotonic())
        return Place(place.base, place.upto, rows[-1]["id"] if len(rows) == PAGE else 0)


async def look(db: Read) -> Moment:
    """The database at this moment."""
    lsn: int = await db.value(PLACE)
    asked = monotonic()
    row = (await db.rows(LOOK))[0]
    line, snapshot = (row["system"], row["timeline"]), Snapshot.of(row)
    world = f"{row['system']}.{row['database']}.{row['timeline']}"
    return Moment(line, world, snapshot, row["at"], asked, monotonic(), lsn, row["upto"])
