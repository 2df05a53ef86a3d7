"""One WebSocket of a live stream: what waits to be sent is bounded, and whoever does not read in time is cut."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from entrepot.kernel.http.asgi import Receive, Send
from entrepot.kernel.http.call import Caller
from entrepot.kernel.http.frames import Subscription
from entrepot.kernel.http.websocket import Framed, Gone, WebSocket

MOST_FRAMES, MOST_OCTETS = 4_096, 2_097_152
PIECE = 65_536  # octets that are written at a time, or one frame that is longer
MOST_CALLS = 32  # of one socket at a time; it is read no further until one of them is answered
PATIENCE = 10.0  # seconds in which one piece must be taken
FAREWELL = 1.0  # seconds for the last words to one who may not be listening
GONE, GOING_AWAY, TAKES_NOTHING, TOO_SLOW = 1000, 1001, 4400, 4408
Take = Callable[["Socket", str], None]


class Socket:
    """An accepted WebSocket. While nothing is to be sent it costs one task, which waits for the other side to leave."""

    __slots__ = (
        *("_calls", "_code", "_is_due", "_is_open", "_queue", "_reason", "_room", "_send", "_size", "_task", "_wire"),
        *("_writer", "bookmark", "by", "client", "joined", "to"),
    )

    def __init__(self, send: Send, wire: WebSocket, by: Caller, to: Subscription, client: str = "") -> None:
        self.by, self.to, self.client = by, to, client
        self.joined = to.joined
        self.bookmark = ""
        """How far its calls have seen, where there are replicas."""
        self._send, self._wire = send, wire
        self._queue: deque[Framed] | None = None
        self._size = 0
        self._calls = 0
        self._room: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_open = self._is_due = False
        self._code: int | None = None
        self._reason = ""
        self._task = asyncio.current_task()

    @property
    def waiting(self) -> int:
        """How many frames wait to be sent."""
        return len(self._queue or ())

    @property
    def is_behind(self) -> bool:
        """Whether a quarter of what may wait is waiting."""
        return 4 * self.waiting > MOST_FRAMES or 4 * self._size > MOST_OCTETS

    async def send(self, frame: Framed) -> None:
        """Sends it now; raises TimeoutError where what came before is not taken in time, and `Gone`."""
        await self._until_writable()
        self._wire.write(frame)

    def offer(self, frame: Framed) -> None:
        """Sends it as soon as what came before is sent; cuts the socket where too much is waiting."""
        if self._code is not None:
            return
        if self._queue is None:
            self._queue = deque()
        self._size += len(frame)
        if len(self._queue) >= MOST_FRAMES or self._size > MOST_OCTETS:
            self.cut(TOO_SLOW, "you read too slowly; come back with your last cursor")
            return
        self._queue.append(frame)
        self._write_on()

    def open(self) -> None:
        """From now on what is offered is sent; until then it waits."""
        self._is_open = True
        self._write_on()

    def cut(self, code: int, reason: str) -> None:
        """Ends it with that close code, whatever it is waiting for."""
        if self._code is None:
            self._code, self._reason = code, reason
            self._queue = None
            if self._task is not None:
                self._task.cancel()

    async def until_gone(self, receive: Receive, take: Take | None) -> None:
        """Waits for the other side to leave, and hands on what it says, where there is somebody who takes it."""
        while True:
            message: Any = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if take is None:
                self.cut(TAKES_NOTHING, "this stream takes no messages")
            elif text is None:
                self.cut(TAKES_NOTHING, "this stream takes text")
            else:
                take(self, text)
                while self._calls >= MOST_CALLS:
                    self._room = asyncio.get_running_loop().create_future()
                    await self._room

    def begin_call(self) -> None:
        """One more of its calls is under way."""
        self._calls += 1

    def end_call(self, frame: Framed) -> None:
        """One of its calls is answered."""
        self._calls -= 1
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None
        self.offer(frame)

    def was_cut(self) -> bool:
        """Whether a cancellation was ours, in which case it is over now."""
        if self._code is None or self._task is None:
            return False
        self._task.uncancel()
        return True

    async def end(self) -> None:
        """Says goodbye where there is a reason, and leaves nothing running but calls, whose answers nobody hears."""
        if self._writer is not None:
            self._writer.cancel()
        if self._code is not None:
            await close(self._send, self._code, self._reason)
        self._code, self._queue = GONE, None

    def _write_on(self) -> None:
        if self._is_open and self._queue and not self._is_due:
            self._is_due = True
            # Once for all that is offered until then.
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        """Whatever waits, as far as it is taken at once; only where that is not all, a task waits with the rest."""
        with suppress(Gone):  # which its own task is about to hear
            self._write_pieces()
            if self._queue:
                self._writer = asyncio.create_task(self._write_patiently())
                return
        self._rest()

    async def _write_patiently(self) -> None:
        try:
            while self._queue:
                await self._until_writable()
                self._write_pieces()
        except TimeoutError:
            self.cut(TOO_SLOW, "you read too slowly; come back with your last cursor")
        except Gone:
            pass
        finally:
            self._writer = None
            self._rest()

    async def _until_writable(self) -> None:
        if not self._wire.is_writable:
            async with asyncio.timeout(PATIENCE):
                await self._wire.writable()

    def _write_pieces(self) -> None:
        while self._queue and self._wire.is_writable:
            piece = [self._queue.popleft()]
            size = len(piece[0])
            while self._queue and size + len(self._queue[0]) <= PIECE:
                piece.append(self._queue.popleft())
                size += len(piece[-1])
            self._size -= size
            self._wire.write(b"".join(piece))

    def _rest(self) -> None:
        """Nothing is kept while nothing is to be sent: there may be thousands that are told nothing for hours."""
        self._queue, self._size, self._is_due = None, 0, False


async def close(send: Send, code: int, reason: str) -> None:
    """Closes, as far as the other side lets us."""
    message: Any = {"type": "websocket.close", "code": code, "reason": reason}
    with suppress(Exception):
        async with asyncio.timeout(FAREWELL):
            await send(message)
