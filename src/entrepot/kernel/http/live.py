"""Live streams: each process reads the outbox once and hands every row to the sockets that follow its topic."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NamedTuple, Self

import asyncpg
from asyncpg import Record

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.listener import listen
from entrepot.kernel.db.pool import GONE
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import topics
from entrepot.kernel.http.asgi import Receive
from entrepot.kernel.http.attendance import Roll
from entrepot.kernel.http.frames import Beat, Frame, LiveCursor, Ready, StartOver
from entrepot.kernel.http.socket import GOING_AWAY, Socket, Take
from entrepot.kernel.http.websocket import Framed, framed
from entrepot.kernel.refusal import TooMany, Unavailable
from entrepot.kernel.settings import Settings
from entrepot.kernel.values import ENCODER
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work import outbox
from entrepot.kernel.work.outbox import SESSIONS, Moment, Place, Snapshot
from entrepot.kernel.work.whispers import CHANNEL, Whisper, Whispers

LOG = logging.getLogger("entrepot.live")
BREATH = 131_072  # octets after which the sockets get time to write, so that no burst makes a quick one slow
PROGRESS, BREATHS = 0.04, 20  # seconds in which who is behind must get on to be waited for, and how often
RESTS, LONGEST_REST = 2, 0.01
"""Between two reads it waits so many times as long as the last took, at most that many seconds: in quiet times hardly
at all, and under load so that more rows share a read."""
POLL = 1.0  # seconds after which the outbox is read where no bell was heard
PAGE = 500
REPLAYS = 4  # at once, so that a crowd that comes back leaves connections to everybody else
PATIENCE = 10.0  # seconds in which the outbox must be read once before a stream begins
GOODBYE = 3.0
TROUBLE = (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, *GONE)
ALIVE = Query("""
    SELECT token_hash FROM core.sessions WHERE token_hash = ANY(:sessions::bytea[]) AND expires_at > now()
""")


def encoded(frame: Frame) -> Framed:
    """A frame of the house's own."""
    return framed(ENCODER.encode(frame))


def frame_of(history: str, window: Place, row: Record) -> Framed:
    """A row as it is sent: its body with the cursor in front. The body is a struct with a kind, so never empty."""
    body: bytes = row["body"]
    return framed(f'{{"cursor":"{history}.{window.text_of_window}{row["id"]}",'.encode() + body[1:])


class Admitted(NamedTuple):
    """From when on a socket is offered everything, and the further topics that it followed at that moment."""

    history: str
    now: Snapshot
    joined: frozenset[str]


class Joining(NamedTuple):
    """A socket that waits to be let in."""

    socket: Socket
    seen: Moment
    """From before its topics were read."""
    admitted: "asyncio.Future[Admitted]"


class Live:
    """The sockets of one process. Nothing runs while there are none."""

    def __init__(self, database: Database, settings: Settings, whispers: Whispers) -> None:
        self.database, self.settings, self.whispers = database, settings, whispers
        whispers.heard_by.append(self._pass_on)
        database.heard_by.append(self._hear_commit)
        self.rolls: list[Roll] = []
        self.sockets: set[Socket] = set()
        self._readers: defaultdict[str, set[Socket]] = defaultdict(set)
        self._streams: Counter[Wallet] = Counter()
        self._joining: list[Joining] = []
        self._place: Place | None = None
        self._history = ""
        self._wake, self._empty = asyncio.Event(), asyncio.Event()
        self._replays = asyncio.Semaphore(REPLAYS)
        self._tasks: list[asyncio.Task[None]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()
        for task in self._tasks:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=GOODBYE)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._running, return_exceptions=True)

    async def close(self) -> None:
        """Says goodbye to everybody, and lets nobody in any more."""
        self._is_closed = True
        for socket in [*self.sockets, *(each.socket for each in self._joining)]:
            socket.cut(GOING_AWAY, "the server is going away; come back with your last cursor")
        if self._streams:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._empty.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                for roll in self.rolls:
                    await roll.settle()
        for roll in self.rolls:
            roll.close()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Does it beside everything else; what is not done when the process ends has some seconds yet."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def hold(
        self,
        socket: Socket,
        receive: Receive,
        after: LiveCursor | None,
        seen: Moment,
        take: Take | None = None,
        roll: Roll | None = None,
    ) -> None:
        """Serves a socket until it ends, on whichever side. Raises `TooMany` and `Unavailable` before it begins.

        `seen` is of before its topics were read; `take` is called with what it says.
        """
        with self._counted(socket.by.wallet):
            try:
                admitted = await self._join(socket, seen)
                with nullcontext() if roll is None else roll.attended(socket.by.wallet):
                    await self._bring_up(socket, after, admitted)
                    socket.open()
                    await socket.until_gone(receive, take)
            except asyncio.CancelledError:
                if not socket.was_cut():
                    raise
            except TimeoutError:
                LOG.info("a reader was too slow for what it had missed")
            finally:
                self._leave(socket)
                await socket.end()

    @contextmanager
    def _counted(self, wallet: Wallet) -> Iterator[None]:
        """One more stream of that wallet. Raises `TooMany`, and `Unavailable` where the server goes away."""
        if self._is_closed:
            raise Unavailable(part="server")
        if self._streams[wallet] >= self.settings.live_streams:
            raise TooMany(retry_after=60)
        self._streams[wallet] += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._streams[wallet] -= 1
            if not self._streams[wallet]:
                del self._streams[wallet]
            if not self._streams:
                self._empty.set()

    async def _join(self, socket: Socket, seen: Moment) -> Admitted:
        """Lets it in after the next read; from the answered moment on it is offered everything, once."""
        if not self._tasks:
            url = self.settings.database_direct_url or self.settings.database_url
            hear = {CHANNEL: self.whispers.hear}
            running = (
                self._keep_reading(),
                self._keep_beating(),
                listen(url, self._wake.set, hear, own=self.database.bell.name),
            )
            self._tasks = [asyncio.create_task(each) for each in running]
        admitted: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        self._joining.append(Joining(socket, seen, admitted))
        self._wake.set()
        try:
            async with asyncio.timeout(PATIENCE):
                return await admitted
        except TimeoutError:
            raise Unavailable(part="database") from None

    def _leave(self, socket: Socket) -> None:
        self.sockets.discard(socket)
        for topic in (*socket.to.topics, *socket.joined):
            self._unfollow(socket, topic)

    def _unfollow(self, socket: Socket, topic: str) -> None:
        readers = self._readers.get(topic)
        if readers is not None:
            readers.discard(socket)
            if not readers:
                del self._readers[topic]

    async def _bring_up(self, socket: Socket, cursor: LiveCursor | None, admitted: Admitted) -> None:
        """Sends what it has missed between its cursor and the moment from which on it is offered everything."""
        history, now = admitted.history, admitted.now
        begins = LiveCursor.of(history, Place.after(now))
        if cursor is None:
            await socket.send(encoded(Ready(cursor=begins)))
            return
        after = cursor.place
        # The second is of a disk that was set back, which the database itself cannot know.
        if cursor.history != history or max(after.base.xmax, after.upto.xmax) > now.xmax:
            await socket.send(encoded(StartOver(cursor=begins)))
            return
        await socket.send(encoded(Ready(cursor=cursor)))
        windows = after.windows(now)
        async with self._replays, self.database.read() as db:
            changed = [row for window in windows for row in await topics.changes(db, window, socket.to.topics)]
        followed = topics.Replayed(socket.to, admitted.joined, changed)
        for window in windows:
            place: Place | None = window
            while place is not None:
                async with self._replays, self.database.read() as db:
                    rows = await outbox.page(db, place, PAGE, followed.all)
                    is_kept = await outbox.is_kept(db, after)
                if not is_kept:
                    await socket.send(encoded(StartOver(cursor=begins)))
                    return
                for row in rows:
                    if followed.take(row):
                        await socket.send(frame_of(history, window, row))
                place = Place(window.base, window.upto, rows[-1]["id"]) if len(rows) == PAGE else None

    def _hear_commit(self, _door: Write) -> None:
        """This process's own, of which it need not wait to be told by the bell."""
        self._wake.set()

    async def _keep_reading(self) -> None:
        pause, clock = 0.1, asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            began = clock()
            try:
                await self._read()
                pause = 0.1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is read again from the same place
                LOG.warning("cannot read the outbox: %s; again in %.1f s", str(error) or type(error).__name__, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PATIENCE)
                continue
            await asyncio.sleep(min(LONGEST_REST, RESTS * (clock() - began)))
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL if self.sockets else None):
                    await self._wake.wait()

    async def _read(self) -> None:
        """Reads and hands out everything that is committed by now, then lets in who is waiting."""
        joining = list(self._joining)
        async with self.database.read() as db:
            now = await outbox.now(db)
            if now.history is not None:
                self._turn_to(now.history, joining)
                await self._read_upto(db, now.snapshot, joining)
                return
        async with self.database.write() as door:
            await outbox.begin_history(door)
        self._wake.set()

    def _turn_to(self, history: str, joining: Sequence[Joining]) -> None:
        """Sends away whoever follows another history, in which they may have been told what is not so in this one."""
        gone = [each.socket for each in joining if each.seen.history not in (None, history)]
        if history != self._history:
            gone += self.sockets
            self._history, self._place = history, None
        for socket in gone:
            socket.cut(GOING_AWAY, "the database has changed; come back with your last cursor")

    async def _read_upto(self, db: Read, upto: Snapshot, joining: Sequence[Joining]) -> None:
        if self._place is not None and self.sockets:
            for window in self._place.windows(upto):
                await self._read_window(db, window)
        changed = await topics.changes_for(db, [(each.socket.to, each.seen.snapshot) for each in joining], upto)
        await _end_sessions(db, [each.socket for each in joining])  # what ends from here on is heard
        self._place = Place.after(upto)
        del self._joining[: len(joining)]
        for (socket, _, admitted), rows in zip(joining, changed, strict=True):
            if not admitted.done():
                for row in rows:
                    socket.joined = topics.changed(socket.joined, row)
                self.sockets.add(socket)
                for topic in (*socket.to.topics, *socket.joined):
                    self._readers[topic].add(socket)
                admitted.set_result(Admitted(self._history, upto, socket.joined))

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
            self.run(self._check_wallet(row["about"]))
        readers = self._readers_of(row["topic"], row["also"])
        if not readers:
            return 0
        frame = frame_of(self._history, window, row)
        for socket in readers:
            if socket.to.about in (None, row["about"]):
                socket.offer(frame)
        if row["opens"] is not None or row["closes"] is not None:
            for socket in readers:
                self._change(socket, row)
        return len(frame)

    def _readers_of(self, topic: str, also: str | None) -> list[Socket]:
        """Whoever follows either, once."""
        readers, more = self._readers.get(topic), None if also is None else self._readers.get(also)
        if readers and more:
            return list(readers | more)
        return list(readers or more or ())

    def _change(self, socket: Socket, row: Record) -> None:
        """It follows a topic more, or one less, from here on."""
        if topics.is_change_for(socket.to, row):
            was, socket.joined = socket.joined, topics.changed(socket.joined, row)
            for topic in was - socket.joined - set(socket.to.topics):
                self._unfollow(socket, topic)
            for topic in socket.joined - was:
                self._readers[topic].add(socket)

    def _pass_on(self, whisper: Whisper) -> None:
        """To whoever follows it now, and not only one thing."""
        if readers := self._readers_of(whisper.topic, whisper.also):
            frame = framed(whisper.frame.encode())
            for socket in readers:
                if socket.to.about is None:
                    socket.offer(frame)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self.settings.live_heartbeat)
            with suppress(*TROUBLE):
                await self._check_sessions(self.sockets)
            if self._place is not None:
                beat = encoded(Beat(cursor=LiveCursor.of(self._history, self._place)))
                for socket in list(self.sockets):
                    socket.offer(beat)
            for roll in self.rolls:
                self.run(roll.beat())

    async def _check_wallet(self, wallet: str) -> None:
        with suppress(*TROUBLE):
            await self._check_sessions([socket for socket in self.sockets if socket.by.wallet == wallet])

    async def _check_sessions(self, sockets: Iterable[Socket]) -> None:
        asked = list(sockets)
        if asked:
            async with self.database.read() as db:
                await _end_sessions(db, asked)


async def _end_sessions(db: Read, sockets: Sequence[Socket]) -> None:
    """Ends the streams of sessions that are over."""
    if not sockets:
        return
    rows = await db.rows(ALIVE, sessions=list({socket.by.session for socket in sockets}))
    alive = {row[0] for row in rows}
    for socket in sockets:
        if socket.by.session not in alive:
            socket.cut(4401, "the session is over; sign in again")
