"""The connection to the chat's stream: made anew whenever it is lost, with calls that outlive it.

A call that was not answered when the connection broke is made again over the next one. That is safe because each does
the same however often it comes: a message has the id that it was given first.
"""

import asyncio
import random
from contextlib import aclosing
from itertools import count
from typing import TypeVar

import aiohttp
import msgspec

from entrepot.apps.chat.calls import live as frames
from entrepot.client.failures import Refused, Unreachable
from entrepot.client.live import LONGEST_PAUSE, PASSING, PAUSE, Anything, received
from entrepot.client.transport import Transport, refusal
from entrepot.kernel.http.frames import Beat, Ready, RefusedFrame, ReplyFrame, StartOver
from entrepot.kernel.http.route import FROM_SESSION, Ask
from entrepot.kernel.values import read_value, write_value

T = TypeVar("T")
PATH = "/chat/stream"
PATIENCE = 20.0  # seconds in which a call must be answered, over however many connections
ChatFrame = (
    frames.MessageSent
    | frames.ReceiptMoved
    | frames.GroupOpened
    | frames.GroupClosed
    | frames.GroupEnded
    | frames.Invited
    | frames.KeysChanged
    | frames.OwnKeysChanged
    | frames.KeysLow
    | frames.BlockChanged
    | frames.Typing
    | frames.Presence
)
Told = Ready | StartOver | ChatFrame
DECODER: msgspec.json.Decoder[Told | Beat | ReplyFrame | RefusedFrame] = msgspec.json.Decoder(
    Told | Beat | ReplyFrame | RefusedFrame, dec_hook=read_value
)


class Line:
    """A stream from `after` on. What comes is held until it is asked for, however much that is."""

    def __init__(self, transport: Transport, after: str | None) -> None:
        self._transport, self._after = transport, after
        self._told: asyncio.Queue[Told | Beat | Anything | Exception] = asyncio.Queue()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._open: dict[str, tuple[str, asyncio.Future[ReplyFrame]]] = {}
        self._refs = count(1)
        self.is_over = False

    async def told(self) -> Told | Beat | Anything:
        """The next frame. Raises `Refused` where the server lets this wallet listen no longer."""
        told = await self._told.get()
        if isinstance(told, Exception):
            raise told
        return told

    async def call(self, name: str, ask: Ask, answer: type[T]) -> T:
        """Carries out a call of the stream. Raises `Refused`, and `Unreachable` where no answer came in time."""
        given = msgspec.to_builtins(ask, enc_hook=write_value)
        ref = str(next(self._refs))
        said = {key: value for key, value in given.items() if key not in FROM_SESSION}
        text = msgspec.json.encode({"call": name, "ref": ref, "ask": said}).decode()
        replied: asyncio.Future[ReplyFrame] = asyncio.get_running_loop().create_future()
        self._open[ref] = text, replied
        try:
            async with asyncio.timeout(PATIENCE):
                if self.is_over:
                    raise Unreachable(f"{name}: the stream is over")
                await self._say(text)
                reply = await replied
        except TimeoutError:
            raise Unreachable(f"{name}: no answer") from None
        finally:
            del self._open[ref]
        return _answer(reply, answer)

    async def keep(self) -> None:
        """Connects, again and again, until it is cancelled or refused."""
        try:
            await self._keep()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to who listens
            self._told.put_nowait(error)
        finally:
            self.is_over = True
            for _, replied in self._open.values():
                if not replied.done():
                    replied.set_exception(Unreachable("the stream is over"))

    async def _keep(self) -> None:
        pause = PAUSE
        while True:
            try:
                if await self._connect():
                    pause = PAUSE
            except Unreachable:
                pass
            except Refused as refused:
                if refused.status not in PASSING:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that a crowd does not come back at once
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _connect(self) -> bool:
        """One connection, from its beginning to its end. Answers whether anything came over it."""
        query = {} if self._after is None else {"after": self._after}
        try:
            async with await self._transport.socket(PATH, query) as socket, aclosing(received(socket, DECODER)) as told:
                async for frame in told:
                    if self._socket is None:
                        self._socket = socket
                        for text, _ in list(self._open.values()):
                            await self._say(text)
                    self._take(frame)
            return self._socket is not None
        finally:
            self._socket = None

    def _take(self, frame: Told | Beat | ReplyFrame | Anything) -> None:
        if isinstance(frame, ReplyFrame):
            if frame.bookmark is not msgspec.UNSET:
                self._transport.has_seen(frame.bookmark)
            _, replied = self._open.get(frame.ref or "", ("", None))
            if replied is not None and not replied.done():
                replied.set_result(frame)
            return
        cursor = getattr(frame, "cursor", None)
        if isinstance(cursor, str) and cursor:
            self._after = str(cursor)
        self._told.put_nowait(frame)

    async def _say(self, text: str) -> None:
        """Now if there is a connection, or else over the next one."""
        try:
            if self._socket is not None:
                await self._socket.send_str(text)
        except (aiohttp.ClientError, ConnectionError):
            pass


def _answer(reply: ReplyFrame, answer: type[T]) -> T:
    if reply.status >= 400:
        problem = b"{}" if reply.problem is msgspec.UNSET else bytes(reply.problem)
        wait = msgspec.json.decode(problem, type=dict[str, object]).get("retry_after", "")
        raise refusal(reply.status, problem, str(wait))
    body = b"null" if reply.answer is msgspec.UNSET else bytes(reply.answer)
    return msgspec.json.decode(body, type=answer, dec_hook=read_value)
