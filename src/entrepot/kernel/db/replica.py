"""One streaming replica: watched by a connection of its own, read through a pool, never waited for long."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg

from entrepot.kernel.db.causal import Bookmark, Progress
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.pool import ENDED, Held, Pool
from entrepot.kernel.refusal import Refusal, Unavailable
from entrepot.kernel.settings import Settings

T = TypeVar("T")
LOG = logging.getLogger("entrepot.db")
UP = "up"
POLL = 0.25  # seconds between two looks at a server
PATIENCE = 1.0  # seconds that a look may take
WAIT = 0.05  # seconds that a read waits for what its caller has seen
FIRST_PAUSE = 0.002
PAUSE_AFTER_VAIN = POLL  # seconds in which nobody waits again, where one has waited in vain
MOST_LAG = 5.0  # seconds; who is further behind is not read
# The timeline of the last restart point is the least that it follows; the receiver's, which only pg_read_all_stats may
# see, is known at once after a failover.
PROBE = """
    SELECT pg_is_in_recovery() AS recovers, pg_last_wal_replay_lsn() AS replayed, pg_backend_pid() AS process,
        (SELECT system_identifier FROM pg_control_system()) AS system,
        greatest((SELECT timeline_id FROM pg_control_checkpoint()),
            (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
            (SELECT received_tli FROM pg_stat_wal_receiver)) AS timeline
"""
# What is committed has its place before this one. So has what others are about to commit, which costs a wait at most.
PLACE = """
    pg_current_wal_insert_lsn() AS lsn,
    ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int AS timeline
"""
LOOK = f"SELECT (SELECT system_identifier FROM pg_control_system()) AS system, {PLACE}"
REPLAYED = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END"
FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What a replica may do to a read. A fault of the read itself comes again on the primary, and is raised there."""


class NotThere(Exception):
    """This replica cannot serve the read: it has not what the caller has seen or asks for, or is none any more."""


class Track:
    """Where the primary was, when: from it follows how old the newest thing is that a replica has."""

    def __init__(self, most: float = 120.0) -> None:
        self._looks: deque[tuple[float, int]] = deque(maxlen=int(most / POLL))
        self.line = (0, 0)

    def add(self, now: float, at: Bookmark) -> None:
        """A look at the primary. On a new line everything begins anew."""
        if at.line != self.line:
            self._looks.clear()
            self.line = at.line
        self._looks.append((now, at.lsn))

    def lag(self, now: float, replayed: int) -> float | None:
        """Seconds since the last moment of which the replica has all; None where that is before the first look."""
        for moment, lsn in reversed(self._looks):
            if lsn <= replayed:
                return now - moment
        return None


class Replica:
    """`state` is "up", or why nobody reads it. Times are the event loop's, in seconds."""

    def __init__(self, url: str, settings: Settings, track: Track) -> None:
        self.url = url
        parts = urlsplit(url)
        (folder,) = parse_qs(parts.query).get("host", ["socket"])
        self.name = f"{parts.hostname or folder}:{parts.port or 5432}"
        self.pool = Pool(url, settings, is_needed=False)
        self.track = track
        self.state = "not looked at yet"
        self.replayed = 0
        """As far as it was when it was last asked: a hint. What counts is asked on the connection that reads."""
        self.lag: float | None = None
        self._in_vain_until = 0.0
        self._under_way: set[asyncio.Timeout] = set()

    def has(self, progress: Progress) -> bool:
        """Whether it had all that the caller has seen when it was last asked."""
        return progress.brought is None or progress.brought.lsn <= self.replayed

    def can_serve(self, progress: Progress) -> bool:
        """Whether it is worth asking: it is up, has a connection free, and has or may soon have what is needed."""
        if self.state != UP or self.pool.places.locked():
            return False
        return self.has(progress) or asyncio.get_running_loop().time() >= self._in_vain_until

    async def read(self, progress: Progress, work: Callable[[Read], Awaitable[T]]) -> T:
        """What `work` answers. Raises `NotThere`, one of `FAULTS`, or TimeoutError when it is taken out."""
        line = self.track.line
        async with asyncio.timeout(None) as limit:
            self._under_way.add(limit)
            try:
                async with self._lent() as held:
                    await self._catch_up(held, progress)
                    try:
                        answer = await work(Read(held.connection))
                    except Refusal as refused:
                        # What is missing here may be on its way: who was sent a link has seen nothing, and expects it.
                        raise NotThere from refused
                    progress.reach(Bookmark(*line, await self._ask(held)))
                    return answer
            finally:
                self._under_way.discard(limit)

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Held]:
        """A connection, ended where the block was cancelled in the middle of a statement."""
        try:
            held = await self.pool.take()
        except Unavailable as error:
            raise NotThere from error
        broken = True
        try:
            yield held
            broken = False
        except Exception as error:
            broken = False
            if held.connection.is_closed() and isinstance(error, ENDED):
                raise asyncpg.ConnectionDoesNotExistError(str(error)) from error
            raise
        finally:
            self.pool.give(held, broken=broken)

    async def _ask(self, held: Held) -> int:
        """How far it has replayed; raises `NotThere` where it was promoted."""
        replayed: int | None = await held.connection.fetchval(REPLAYED)
        if replayed is None:
            raise NotThere
        # A connection ends with its server, which after a crash may begin at an earlier place: so this holds for it.
        held.replayed = self.replayed = replayed
        return replayed

    async def _catch_up(self, held: Held, progress: Progress) -> None:
        """Waits a little until it has what the caller has seen; raises `NotThere`."""
        if progress.brought is None or held.replayed >= progress.brought.lsn:
            return
        clock, pause = asyncio.get_running_loop().time, FIRST_PAUSE
        began = clock()
        while await self._ask(held) < progress.brought.lsn:
            if clock() + pause > began + WAIT or clock() < self._in_vain_until:
                self._in_vain_until = max(self._in_vain_until, clock() + PAUSE_AFTER_VAIN)
                raise NotThere
            await asyncio.sleep(pause)
            pause *= 2

    async def watch(self) -> None:
        """Looks at it until cancelled."""
        await watch(self.url, PROBE, self.judge, self._lost)

    def judge(self, connection: asyncpg.Connection, row: asyncpg.Record, _began: float) -> None:
        """Whether it is to be read, by what it says of itself."""
        if row["process"] != connection.get_server_pid():
            self._take_out("is behind a pooler, and must be addressed directly")
        elif not self.track.line[0]:
            return  # the primary was not looked at yet
        elif not row["recovers"]:
            self._take_out("is no replica")
        elif row["system"] != self.track.line[0]:
            self._take_out("is of another system")
        elif row["timeline"] != self.track.line[1]:
            self._take_out(f"is on timeline {row['timeline']}, not {self.track.line[1]}")
        else:
            self.replayed = row["replayed"] or 0
            self.lag = self.track.lag(asyncio.get_running_loop().time(), self.replayed)
            self._turn(UP if self.lag is not None and self.lag <= MOST_LAG else "is too far behind")

    def _lost(self, why: str) -> None:
        self.lag = None
        self._take_out(f"does not answer: {why}")

    def _take_out(self, why: str) -> None:
        """Ends what is under way, which goes on at the primary, and every connection."""
        self._turn(why)
        ended, self._under_way = self._under_way, set()  # each once: what is being ended cannot be ended again
        for limit in ended:
            limit.reschedule(asyncio.get_running_loop().time())
        self.pool.drop()

    def _turn(self, state: str) -> None:
        if state != self.state:
            LOG.log(logging.INFO if state == UP else logging.WARNING, "replica %s %s", self.name, state)
            self.state = state


async def fault(url: str, primary: str) -> str:
    """What keeps a server from being read as a replica of that primary, looked at once; empty where nothing does."""
    settings = Settings()
    found = Replica(url, settings, Track())
    try:
        leader = await asyncpg.connect(primary, timeout=PATIENCE)
        try:
            row = await leader.fetchrow(LOOK)
        finally:
            await leader.close()
        assert row is not None
        found.track.add(asyncio.get_running_loop().time(), Bookmark(row["system"], row["timeline"], 0))
        follower = await asyncpg.connect(url, timeout=PATIENCE)
        try:
            row = await follower.fetchrow(PROBE)
            assert row is not None
            found.judge(follower, row, 0.0)
        finally:
            await follower.close()
    except (*FAULTS, TimeoutError) as error:
        return f"does not answer: {str(error) or type(error).__name__}"
    return "" if found.state == UP else found.state


Look = Callable[[asyncpg.Connection, asyncpg.Record, float], None]


async def watch(url: str, probe: str, seen: Look, lost: Callable[[str], None]) -> None:
    """Asks a server again and again, on a connection of its own; `seen` is also told when it was asked."""
    clock = asyncio.get_running_loop().time
    while True:
        try:
            connection = await asyncpg.connect(url, timeout=PATIENCE, statement_cache_size=0)
            try:
                while True:
                    began = clock()
                    row = await connection.fetchrow(probe, timeout=PATIENCE)
                    assert row is not None
                    seen(connection, row, began)
                    await asyncio.sleep(POLL)
            finally:
                connection.terminate()
        except (*FAULTS, TimeoutError) as error:
            lost(str(error) or type(error).__name__)
            await asyncio.sleep(POLL)
