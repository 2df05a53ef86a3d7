"""One WebSocket of a live stream: what waits to be sent is bounded, and whoever does not read in time is cut."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from litestar.types import Receive, Send

from entrepot.kernel.http.call import Caller
from entrepot.kernel.http.frames import Subscription

MOST_FRAMES, MOST_CHARACTERS = 4_096, 2_097_152
MOST_CALLS = 32  # of one socket at a time; it is read no further until one of them is answered
PATIENCE = 10.0  # seconds in which one frame must be taken
FAREWELL = 1.0  # seconds for the last words to one who may not be listening
GONE, GOING_AWAY, TAKES_NOTHING, TOO_SLOW = 1000, 1001, 4400, 4408
Take = Callable[["Socket", str], None]


class Socket:
    """An accepted WebSocket. While nothing is to be sent it costs one task, which waits for the other side to leave."""

    __slots__ = (
        *("_calls", "_code", "_is_open", "_queue", "_reason", "_room", "_send", "_size", "_task", "_writer"),
        *("bookmark", "by", "client", "joined", "to"),
    )

    def __init__(self, send: Send, by: Caller, to: Subscription, client: str = "") -> None:
        self.by, self.to, self.client = by, to, client
        self.joined = to.joined
        self.bookmark = ""
        """How far its calls have seen, where there are replicas."""
        self._send = send
        self._queue: deque[str] | None = None
        self._size = 0
        self._calls = 0
        self._room: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_open = False
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
        return 4 * self.waiting > MOST_FRAMES or 4 * self._size > MOST_CHARACTERS

    async def send(self, frame: str) -> None:
        """Sends it now; raises TimeoutError where it is not taken in time."""
        message: Any = {"type": "websocket.send", "text": frame}
        async with asyncio.timeout(PATIENCE):
            await self._send(message)

    def offer(self, frame: str) -> None:
        """Sends it as soon as what came before is sent; cuts the socket where too much is waiting."""
        if self._code is not None:
            return
        if self._queue is None:
            self._queue = deque()
        self._size += len(frame)
        if len(self._queue) >= MOST_FRAMES or self._size > MOST_CHARACTERS:
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

    def end_call(self, frame: str) -> None:
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
        if self._is_open and self._queue and self._writer is None:
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._queue:
                frame = self._queue.popleft()
                await self.send(frame)
                self._size -= len(frame)
        except TimeoutError:
            self.cut(TOO_SLOW, "you read too slowly; come back with your last cursor")
        except Exception:  # noqa: BLE001, S110 - the other side is gone, which its own task is about to hear
            pass
        finally:
            # Nothing is kept while nothing is to be sent: there may be thousands that are told nothing for hours.
            self._writer, self._queue, self._size = None, None, 0


async def close(send: Send, code: int, reason: str) -> None:
    """Closes, as far as the other side lets us."""
    message: Any = {"type": "websocket.close", "code": code, "reason": reason}
    with suppress(Exception):
        async with asyncio.timeout(FAREWELL):
            await send(message)
