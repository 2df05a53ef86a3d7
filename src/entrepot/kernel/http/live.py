"""Live streams: each process reads the outbox once and hands every row to the sockets that follow its topic."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Self

import asyncpg
from asyncpg import Record
from litestar.types import Receive

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.listener import listen
from entrepot.kernel.db.pool import GONE
from entrepot.kernel.db.query import Query
from entrepot.kernel.http.frames import Beat, Frame, LiveCursor, Ready, StartOver
from entrepot.kernel.http.socket import GOING_AWAY, Socket
from entrepot.kernel.refusal import TooMany, Unavailable
from entrepot.kernel.settings import Settings
from entrepot.kernel.values import ENCODER
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work import outbox
from entrepot.kernel.work.outbox import SESSIONS, Place, Snapshot

LOG = logging.getLogger("entrepot.live")
BREATH = 131_072  # characters after which the sockets get time to write, so that no burst makes a quick one slow
PROGRESS, BREATHS = 0.04, 20  # seconds in which who is behind must get on to be waited for, and how often
POLL = 1.0  # seconds after which the outbox is read where no bell was heard
PAGE = 500
REPLAYS = 4  # at once, so that a crowd that comes back leaves connections to everybody else
PATIENCE = 10.0  # seconds in which the outbox must be read once before a stream begins
GOODBYE = 3.0
TROUBLE = (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, *GONE)
ALIVE = Query("""
    SELECT token_hash FROM core.sessions WHERE token_hash = ANY(:sessions::bytea[]) AND expires_at > now()
""")


def encoded(frame: Frame) -> str:
    """A frame of the house's own."""
    return ENCODER.encode(frame).decode()


def frame_of(window: Place, row: Record) -> str:
    """A row as it is sent: its body with the cursor in front. The body is a struct with a kind, so never empty."""
    body: bytes = row["body"]
    return f'{{"cursor":"{Place(window.base, window.upto, row["id"])}",{body[1:].decode()}'


class Live:
    """The sockets of one process. Nothing runs while there are none."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self.sockets: set[Socket] = set()
        self._readers: defaultdict[str, set[Socket]] = defaultdict(set)
        self._streams: Counter[Wallet] = Counter()
        self._joining: list[tuple[Socket, asyncio.Future[Snapshot]]] = []
        self._place: Place | None = None
        self._wake, self._empty = asyncio.Event(), asyncio.Event()
        self._replays = asyncio.Semaphore(REPLAYS)
        self._tasks: list[asyncio.Task[None]] = []
        self._checks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()
        running = [*self._tasks, *self._checks]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def close(self) -> None:
        """Says goodbye to everybody, and lets nobody in any more."""
        self._is_closed = True
        for socket in [*self.sockets, *(each for each, _ in self._joining)]:
            socket.cut(GOING_AWAY, "the server is going away; come back with your last cursor")
        if self._streams:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._empty.wait()

    async def hold(self, socket: Socket, receive: Receive, after: LiveCursor | None) -> None:
        """Serves a socket until it ends, on whichever side. Raises `TooMany` and `Unavailable` before it begins."""
        if self._is_closed:
            raise Unavailable(part="server")
        if self._streams[socket.by.wallet] >= self.settings.live_streams:
            raise TooMany(retry_after=60)
        self._streams[socket.by.wallet] += 1
        self._empty.clear()
        try:
            now = await self._join(socket)
            await self._bring_up(socket, None if after is None else Place.parse(after), now)
            socket.open()
            await socket.until_gone(receive)
        except asyncio.CancelledError:
            if not socket.was_cut():
                raise
        except TimeoutError:
            LOG.info("a reader was too slow for what it had missed")
        finally:
            self._leave(socket)
            await socket.end()
            self._streams[socket.by.wallet] -= 1
            if not self._streams[socket.by.wallet]:
                del self._streams[socket.by.wallet]
            if not self._streams:
                self._empty.set()

    async def _join(self, socket: Socket) -> Snapshot:
        """Lets it in after the next read; from the answered snapshot on it is offered everything, once."""
        if not self._tasks:
            url = self.settings.database_direct_url or self.settings.database_url
            running = (self._keep_reading(), self._keep_beating(), listen(url, self._wake.set))
            self._tasks = [asyncio.create_task(each) for each in running]
        admitted: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._joining.append((socket, admitted))
        self._wake.set()
        try:
            async with asyncio.timeout(PATIENCE):
                return await admitted
        except TimeoutError:
            raise Unavailable(part="database") from None

    def _leave(self, socket: Socket) -> None:
        self.sockets.discard(socket)
        for topic in socket.to.topics:
            self._readers[topic].discard(socket)
            if not self._readers[topic]:
                del self._readers[topic]

    async def _bring_up(self, socket: Socket, after: Place | None, now: Snapshot) -> None:
        """Sends what it has missed between its cursor and the moment from which on it is offered everything."""
        if after is None:
            await socket.send(encoded(Ready(cursor=LiveCursor(now))))
            return
        if max(after.base.xmax, after.upto.xmax) > now.xmax:  # of another server, or of a future that was restored away
            await socket.send(encoded(StartOver(cursor=LiveCursor(now))))
            return
        await socket.send(encoded(Ready(cursor=LiveCursor(after))))
        for window in after.windows(now):
            place: Place | None = window
            while place is not None:
                async with self._replays, self.database.read() as db:
                    rows = await outbox.page(db, place, PAGE, socket.to.topics)
                    is_kept = await outbox.is_kept(db, after)
                if not is_kept:
                    await socket.send(encoded(StartOver(cursor=LiveCursor(now))))
                    return
                for row in rows:
                    if socket.to.about in (None, row["about"]):
                        await socket.send(frame_of(window, row))
                place = Place(window.base, window.upto, rows[-1]["id"]) if len(rows) == PAGE else None

    async def _keep_reading(self) -> None:
        pause = 0.1
        while True:
            self._wake.clear()
            try:
                await self._read()
                pause = 0.1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is read again from the same place
                LOG.warning("cannot read the outbox: %s; again in %.1f s", error or type(error).__name__, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PATIENCE)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL if self.sockets else None):
                    await self._wake.wait()

    async def _read(self) -> None:
        """Reads and hands out everything that is committed by now, then lets in who is waiting."""
        joining = list(self._joining)
        async with self.database.read() as db:
            upto = await outbox.now(db)
            if self._place is not None and self.sockets:
                for window in self._place.windows(upto):
                    await self._read_window(db, window)
            self._place = Place.after(upto)
        del self._joining[: len(joining)]
        for socket, admitted in joining:
            if not admitted.done():
                self.sockets.add(socket)
                for topic in socket.to.topics:
                    self._readers[topic].add(socket)
                admitted.set_result(upto)

    async def _read_window(self, db: Any, window: Place) -> None:
        place, unsent = window, 0
        while True:
            rows = await outbox.page(db, place, PAGE)
            for row in rows:
                unsent += self._hand_out(window, row)
                place = self._place = Place(window.base, window.upto, row["id"])
                if unsent > BREATH:
                    await self._breathe()
                    unsent = 0
            if len(rows) < PAGE:
                return

    async def _breathe(self) -> None:
        """Lets the sockets write while some are behind but get on; nobody waits for one that does not."""
        behind = [socket for socket in self.sockets if socket.is_behind]
        for _ in range(BREATHS):
            before = [socket.waiting for socket in behind]
            await asyncio.sleep(PROGRESS if behind else 0)
            pairs = zip(behind, before, strict=True)
            behind = [socket for socket, was in pairs if socket.is_behind and socket.waiting < was]
            if not behind:
                return

    def _hand_out(self, window: Place, row: Record) -> int:
        """To every socket that follows it, encoded once. Answers how long the frame was, 0 where nobody does."""
        if row["topic"] == SESSIONS:
            check = asyncio.create_task(self._check_wallet(row["about"]))
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)
        readers = self._readers.get(row["topic"])
        if not readers:
            return 0
        frame = frame_of(window, row)
        for socket in list(readers):
            if socket.to.about in (None, row["about"]):
                socket.offer(frame)
        return len(frame)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self.settings.live_heartbeat)
            with suppress(*TROUBLE):
                await self._check_sessions(self.sockets)
            if self._place is not None:
                beat = encoded(Beat(cursor=LiveCursor(self._place)))
                for socket in list(self.sockets):
                    socket.offer(beat)

    async def _check_wallet(self, wallet: str) -> None:
        with suppress(*TROUBLE):
            await self._check_sessions([socket for socket in self.sockets if socket.by.wallet == wallet])

    async def _check_sessions(self, sockets: Iterable[Socket]) -> None:
        """Ends the streams of sessions that are over."""
        asked: Sequence[Socket] = list(sockets)
        if not asked:
            return
        async with self.database.read() as db:
            rows = await db.rows(ALIVE, sessions=list({socket.by.session for socket in asked}))
        alive = {row[0] for row in rows}
        for socket in asked:
            if socket.by.session not in alive:
                socket.cut(4401, "the session is over; sign in again")
