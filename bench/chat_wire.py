"""The wire of the load: connections that cost the client little, over which one template is said again and again."""

import asyncio
import base64
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

PLACE = b"@ID@"
"""Stands in a template where each message has its id, of 36 characters."""
REPLY, STATUS, IDS, SHOWN = b'{"kind":"reply","ref":"', slice(61, 73), slice(23, 59), b'"message":{"id":"'


@dataclass(frozen=True)
class Talker:
    """Who talks where: the token, and what is said, as a call over the stream or as the body of a request."""

    token: str
    path: str
    said: str
    method: str = "POST"


class Ids:
    """UUIDs of version 7, quickly made; the random part counts up from a random number."""

    def __init__(self) -> None:
        self._count = int.from_bytes(os.urandom(7))

    def next(self) -> bytes:
        """Another one."""
        self._count += 1
        at, count = f"{time.time_ns() // 1_000_000:012x}", f"{self._count:016x}"[-15:]
        return f"{at[:8]}-{at[8:]}-7{count[:3]}-8{count[3:6]}-{self._count & 0xFFFFFFFFFFFF:012x}".encode()


class Line(asyncio.Protocol, ABC):
    """One connection. `answered` hears of each message that is acknowledged, `told` of each that it is told of."""

    def __init__(self, talker: Talker, answered: "Callable[[Line, bytes], None]") -> None:
        self.talker, self.answered = talker, answered
        self.told: Callable[[Line, bytes], None] | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard = 0
        self.failure: str | None = None
        self.transport: asyncio.Transport
        self._buffer = b""
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is of no class of asyncio's
        self.open()

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(f"the connection was lost: {error}")

    def fail(self, reason: str) -> None:
        """Notes what went wrong first."""
        self.failure = self.failure or reason
        if not self.ready.done():
            self.ready.set_exception(RuntimeError(reason))

    def say(self, message: bytes) -> None:
        """The template with that id."""
        self.transport.write(message.join(self._parts))

    @abstractmethod
    def open(self) -> None:
        """What comes first."""


class Stream(Line):
    """A WebSocket; the mask is of zeros, which is allowed, so that nothing has to be masked."""

    _is_open = False

    def open(self) -> None:
        """The handshake."""
        talker, size = self.talker, len(self.talker.said) + (36 - len(PLACE)) * self.talker.said.count(PLACE.decode())
        head = bytes([0x81, 0x80 | 126, *size.to_bytes(2), 0, 0, 0, 0])
        self._parts = (head + talker.said.encode()).split(PLACE)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET {talker.path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {talker.token}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        at, end = 0, len(data)
        if not self._is_open:
            at = self._opened(data)
            end = len(data) if self._is_open else 0
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if end < start + size:
                break
            self._frame(data[at], data[start : start + size])
            at = start + size
        self._buffer = data[at:]

    def _opened(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        if not data.startswith(b"HTTP/1.1 101"):
            self.fail(data[:300].decode(errors="replace"))
        self._is_open = True
        return end + 4

    def _frame(self, kind: int, frame: bytes) -> None:
        if kind == 0x89:
            self.transport.write(bytes([0x8A, 0x80 | len(frame), 0, 0, 0, 0]) + frame)
        elif kind != 0x81:
            self.fail(f"closed: {frame[:200]!r}")
        elif frame.startswith(REPLY):
            if frame[STATUS] != b'"status":201':
                self.fail(frame[:300].decode(errors="replace"))
            self.answered(self, frame[IDS])
        elif (at := frame.find(SHOWN)) >= 0:
            self.heard += 1
            if self.told is not None:
                self.told(self, frame[at + len(SHOWN) : at + len(SHOWN) + 36])
        elif b'"kind":"ready"' in frame:
            self.ready.set_result(None)
        elif b'"kind":"refused"' in frame:
            self.fail(frame[:300].decode(errors="replace"))


class Requests(Line):
    """A connection that is kept alive, with one request at a time."""

    def open(self) -> None:
        """Nothing has to be said first."""
        talker = self.talker
        size = len(talker.said) + (36 - len(PLACE)) * talker.said.count(PLACE.decode())
        head = (
            f"{talker.method} {talker.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {talker.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        )
        self._parts = (head + talker.said).encode().split(PLACE)
        self.ready.set_result(None)

    def say(self, message: bytes) -> None:
        """The request with that id."""
        self._message = message
        super().say(message)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        self._buffer = data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = data[:end].lower()
        if b"transfer-encoding: chunked" in head:
            if not data.endswith(b"0\r\n\r\n"):
                return
        elif len(data) < end + 4 + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0):
            return
        self._buffer = b""
        if head[9:10] != b"2":
            self.fail(data[:600].decode(errors="replace"))
        self.answered(self, self._message)


async def connect(kind: type[Line], port: int, talker: Talker, answered: Callable[[Any, bytes], None]) -> Line:
    """A line that is ready."""
    loop = asyncio.get_running_loop()
    _, line = await loop.create_connection(lambda: kind(talker, answered), "127.0.0.1", port)
    async with asyncio.timeout(60):
        await line.ready
    return line
