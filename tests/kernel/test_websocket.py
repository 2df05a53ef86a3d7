"""The wire of the server: WebSockets by RFC 6455 and the heads of requests, before a bare echo."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from entrepot.kernel.http import connection, websocket
from entrepot.kernel.http.serving import server_of
from tests.conftest import free_port

UPGRADE = (
    "GET /{path} HTTP/1.1\r\nHost: echo\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FIN, TEXT, CONTINUED, PING, PONG, CLOSE = 0x80, 1, 0, 9, 10, 8


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what it hears, and is as strange as its path says."""
    if scope["type"] == "lifespan":
        for part in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{part}.complete"})
        return
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        return
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/closed":
        return
    await send({"type": "websocket.accept"})
    if scope["path"] == "/deaf":
        await asyncio.sleep(30)
    while (message := await receive())["type"] == "websocket.receive":
        if message["text"] == "break":
            raise RuntimeError
        await send({"type": "websocket.send", "text": message["text"], "bytes": message["bytes"]})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The echo's."""
    server = server_of(echo, found := free_port())
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield found
    server.should_exit = True
    await asyncio.wait_for(task, 10)


@asynccontextmanager
async def raw(port: int, path: str = "") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket whose frames are made by hand; the answer to the handshake is read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(UPGRADE.format(path=path).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    assert b"sec-websocket-extensions" not in head.lower(), "it compresses"
    yield reader, writer
    writer.transport.abort()


def frame(kind: int, data: bytes, *, is_masked: bool = True) -> bytes:
    """A frame of a client, with a mask of zeros."""
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    return bytes([kind, size[0] | (FIN if is_masked else 0)]) + size[1:] + (bytes(4) if is_masked else b"") + data


async def told(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame of the server."""
    kind, size = await asyncio.wait_for(reader.readexactly(2), 5)
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    return kind & 15, await reader.readexactly(size)


async def close_code(reader: asyncio.StreamReader) -> int:
    """By what the server closes; it may say other things before."""
    while (heard := await told(reader))[0] != CLOSE:
        pass
    assert await asyncio.wait_for(reader.read(), 8) == b"", "it goes on after its goodbye"
    code: int = struct.unpack("!H", heard[1][:2])[0]
    return code


async def test_what_is_said_is_heard_whole_text_and_octets(port: int) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{port}/", compress=15) as socket:
        assert not socket.compress
        for text in ("a", "ä" * 70_000, ""):
            await socket.send_str(text)
            assert await socket.receive_str(timeout=5) == text
        await socket.send_bytes(data := os.urandom(1 << 20))
        assert await socket.receive_bytes(timeout=5) == data
        await socket.close(code=4321)
        assert socket.close_code == 4321


async def test_a_message_in_parts_is_one_and_a_ping_between_them_is_answered(port: int) -> None:
    async with raw(port) as (reader, writer):
        parts = frame(TEXT, b"on") + frame(FIN | PING, b"there?") + frame(CONTINUED, b"") + frame(FIN | CONTINUED, b"e")
        for octet in parts:  # one by one, as a network may
            writer.write(bytes([octet]))
            await writer.drain()
        assert await told(reader) == (PONG, b"there?")
        assert await told(reader) == (TEXT, b"one")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(FIN | TEXT, b"\xff"), 1007),
        (frame(FIN | TEXT, b"plain", is_masked=False), 1002),
        (frame(FIN | CONTINUED, b"of nothing"), 1002),
        (frame(FIN | 3, b"unknown"), 1002),
        (b"\x81\xff" + struct.pack("!Q", websocket.MOST + 1) + bytes(4), 1009),
        (frame(FIN | TEXT, b"break"), 1011),
        (frame(FIN | CLOSE, struct.pack("!H", 3000)), 3000),
    ],
)
async def test_who_breaks_a_rule_is_closed_with_its_code(
    port: int, sent: bytes, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "LINGER", 0.2)
    async with raw(port) as (reader, writer):
        writer.write(sent)
        assert await close_code(reader) == code


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (UPGRADE.format(path="closed"), 403),
        (UPGRADE.format(path="").replace("Sec-WebSocket-Key", "X-Key"), 400),
        (UPGRADE.format(path="").replace("Version: 13", "Version: 12"), 400),
        ("GET / HTTP/1.1\r\nHost: echo\r\n" + "X-Long: " + "x" * 400_000, 400),
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: echo\r\n\r\n", 204),
    ],
)
async def test_a_head_that_cannot_be_followed_is_answered_by_its_status(port: int, head: str, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.readline(), 5)
    assert int(answer.split()[1]) == status
    writer.transport.abort()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: echo\r\n\r\nGET / HTTP/1.1\r\nX:"])
async def test_a_head_that_does_not_come_is_not_waited_for(
    port: int, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_PATIENCE", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    with suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 3)
    writer.transport.abort()


@pytest.mark.parametrize("path", ["", "deaf"])
async def test_who_does_not_read_is_not_read_and_an_application_that_does_not_read_is_not_fed(
    port: int, path: str
) -> None:
    async with raw(port, path) as (_reader, writer):
        flood = frame(FIN | (TEXT if path else PING), b"x" * 125) * 8_000
        sent = 0
        with suppress(TimeoutError):
            while sent < 50 << 20:
                writer.write(flood)
                await asyncio.wait_for(writer.drain(), 1)
                sent += len(flood)
        assert sent < 50 << 20, "what the server took it must hold"


async def test_at_the_servers_end_everybody_is_told(port: int) -> None:
    server = server_of(echo, other := free_port())
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    async with raw(other) as (reader, writer):
        server.should_exit = True
        kind, data = await told(reader)
        assert (kind, struct.unpack("!H", data[:2])[0]) == (CLOSE, 1001)
        writer.write(frame(FIN | CLOSE, data[:2]))
        await asyncio.wait_for(task, 3)
