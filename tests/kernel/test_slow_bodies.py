"""Whoever sends a request's body slowly holds no connection for longer than that may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from urllib.parse import urlsplit

import pytest

from entrepot.kernel.http import connection
from tests.kernel.conftest import WALLET, Serve

POST = (
    "POST {path} HTTP/1.1\r\nHost: tally\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    "Content-Length: {size}\r\n\r\n"
)
BODY = b'{"name": "slow"}'


class Drip:
    """A request whose body comes an octet at a time, until the other side has ended the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def sends(self, body: bytes, pause: float) -> tuple[bytes, float]:
        """All that is answered, and after how many seconds the connection ends."""
        began, task = monotonic(), asyncio.create_task(self.drips(body, pause))
        try:
            answer = await asyncio.wait_for(self.reader.read(), 15)
        except ConnectionError:
            answer = b""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return answer, monotonic() - began

    async def drips(self, body: bytes, pause: float) -> None:
        for octet in body:
            self.writer.write(bytes([octet]))
            await asyncio.sleep(pause)


@asynccontextmanager
async def drip(url: str, path: str, size: int, token: str = WALLET) -> AsyncIterator[Drip]:
    """The head is sent, the body not yet."""
    port = urlsplit(url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(POST.format(path=f"{urlsplit(url).path}{path}", size=size, token=token).encode())
    yield Drip(reader, writer)
    writer.transport.abort()


async def test_a_body_that_does_not_end_is_refused_in_time_and_the_connection_with_it(serve: Serve) -> None:
    async with serve(body_timeout=1) as client, drip(client.url, "/tally/tallies", 1000) as caller:
        answer, took = await caller.sends(b"x" * 1000, 0.1)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"/problems/body-too-slow"' in answer
        assert b"connection: close" in answer
        assert 0.8 < took < 4


async def test_a_body_that_comes_slowly_but_in_time_is_taken(serve: Serve) -> None:
    async with serve(body_timeout=5) as client, drip(client.url, "/tally/tallies", len(BODY)) as caller:
        task = asyncio.create_task(caller.sends(BODY, 0.05))
        async with asyncio.timeout(10):
            while (await client.call("GET", "/tally/tallies/slow"))[0] != 200:
                await asyncio.sleep(0.1)
        assert not task.done(), "the connection goes on"
        task.cancel()


@pytest.mark.parametrize("path", ["/tally/tallies", "/nowhere"])
async def test_the_body_of_what_was_answered_before_it_came_is_not_waited_for_either(
    serve: Serve, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too large, or for nobody: the rest is read, so that the answer arrives, and that has an end too."""
    monkeypatch.setattr(connection, "BODY_PATIENCE", 1.0)
    async with serve(body_limit=10, body_timeout=60) as client, drip(client.url, path, 1000) as caller:
        answer, took = await caller.sends(b"x" * 1000, 0.05)
        assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 404 ")) or answer == b""
        assert 0.8 < took < 6


async def test_a_connection_whose_body_came_whole_after_its_answer_goes_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_PATIENCE", 1.0)
    async with serve(body_limit=10) as client, drip(client.url, "/tally/tallies", 100) as caller:
        await caller.drips(b"x" * 100, 0.003)
        assert b" 413 " in await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), 5)
        await asyncio.sleep(1.2)
        caller.writer.write(b"GET /api/v1/tally/tallies/first HTTP/1.1\r\nHost: tally\r\n\r\n")
        assert b" 200 " in await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), 5)
