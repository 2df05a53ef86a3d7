"""A reader that does not read is cut within a limit, costs nobody else anything, and can come back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from entrepot.kernel.http import socket as sockets
from entrepot.kernel.http.websocket import WebSocket
from tests.kernel.conftest import WALLET
from tests.kernel.live.radio import Radio

LONG = "x" * 60_000


@asynccontextmanager
async def deaf(radio: Radio) -> AsyncIterator[asyncio.StreamReader]:
    """A listener who opens the stream and then never reads."""
    where = urlsplit(radio.url)
    # What it does not take piles up: 64 KiB here, and what the two kernels hold.
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=65_536)
    writer.write(
        f"GET /api/v1/radio/one HTTP/1.1\r\nHost: radio\r\nAuthorization: Bearer {WALLET}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readline()
    while not radio.house.live.sockets:
        await asyncio.sleep(0.01)
    try:
        yield reader
    finally:
        writer.transport.abort()


async def until_alone(radio: Radio, patience: float) -> None:
    """Waits until the server has cut the deaf one."""
    ends = time.monotonic() + patience
    while len(radio.house.live.sockets) > 1:
        assert time.monotonic() < ends, "it is still there"
        await asyncio.sleep(0.01)


async def test_who_lets_too_much_pile_up_is_cut_and_the_others_hear_everything(radio: Radio) -> None:
    async with deaf(radio) as reader, radio.tuned() as quick:
        hearing = asyncio.create_task(quick.words(400, 30))
        for number in range(400):
            await radio.say(f"{number} {LONG}")
            if number % 20 == 0:
                await asyncio.sleep(0.02)
        heard = [word.split()[0] for word in await hearing]
        assert heard == [str(number) for number in range(400)]
        await until_alone(radio, 5)
        got = 0
        try:
            while part := await asyncio.wait_for(reader.read(1 << 20), 10):
                got += len(part)
        except ConnectionResetError:
            pass
        assert got < 300 * len(LONG), "it has not been given everything"


async def test_a_burst_of_small_words_makes_no_quick_reader_slow(radio: Radio) -> None:
    said = [str(number) for number in range(9_000)]
    async with radio.tuned() as quick:
        hearing = asyncio.create_task(quick.words(9_000, 20))
        await radio.say(*said)
        assert await hearing == said


async def test_what_waits_for_a_socket_is_written_in_few_pieces(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    write = WebSocket.write

    def counted(wire: WebSocket, frames: bytes) -> None:
        pieces.append(len(frames))
        write(wire, frames)

    said = [f"{number} {'y' * 100}" for number in range(1_500)]
    said[700:700] = ["long " + "z" * (2 * sockets.PIECE)]
    async with radio.tuned() as heard:
        monkeypatch.setattr(WebSocket, "write", counted)
        await radio.say(*said)
        assert await heard.words(len(said)) == said
    assert len(pieces) < 40
    assert sorted(pieces)[-2] <= sockets.PIECE, "but for the long one"


async def test_who_is_behind_but_gets_on_is_told_everything(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MOST_OCTETS", 1 << 30)
    said: list[str] = []

    async def say_more() -> None:
        some = [f"{len(said) + number} {LONG}" for number in range(20)]
        await radio.say(*some)
        said.extend(some)

    async with radio.tuned() as behind:
        (socket,) = radio.house.live.sockets
        while socket.waiting < 20:  # whatever the kernels take
            await say_more()
            await asyncio.sleep(0.05)
        heard, before = list[str](), len(said)
        monkeypatch.setattr(sockets, "MOST_OCTETS", 100 * len(LONG))
        while len(said) - before < 200:  # twice as much as may wait at a time
            heard += await behind.words(20)
            await say_more()
            while not socket.waiting:  # the kernels take more from who reads
                await asyncio.sleep(0.05)
                await say_more()
        assert heard + await behind.words(len(said) - len(heard)) == said


async def test_who_takes_nothing_for_long_is_cut_however_little_waits(
    radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PATIENCE", 0.5)
    monkeypatch.setattr(sockets, "MOST_OCTETS", 1 << 30)
    async with deaf(radio), radio.tuned() as quick:
        for _ in range(5):
            await radio.say(*[LONG] * 40)
            await quick.words(40)
        await until_alone(radio, 5)


async def test_who_was_cut_comes_back_and_has_missed_nothing(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MOST_FRAMES", 100)
    said = [f"{number} {LONG[:10_000]}" for number in range(1500)]
    heard: list[str] = []
    async with radio.tuned() as first:
        await radio.say(*said)  # more than the kernels take, in one transaction
        cursor = first.cursor
        while radio.house.live.sockets:
            await asyncio.sleep(0.01)
        while (told := await first.frame()) and len(heard) < 1500:
            if told["kind"] == "said":
                heard.append(told["word"])
                cursor = first.cursor
        assert first.close is not None
        assert first.close[0] == 4408
    assert len(heard) < 1500
    rounds = 0
    while len(heard) < 1500:
        rounds += 1
        assert rounds < 5
        async with radio.tuned(after=cursor) as again:
            heard += await again.words(1500 - len(heard), 20)
            cursor = again.cursor
    assert heard == said
