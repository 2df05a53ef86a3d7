"""What an idle socket costs a server as a user starts it, and that a stalled one costs the others nothing.

`make faults` runs it in full (FAULTS=full): 2,000 sockets.
"""

import asyncio
import hashlib
import os
import statistics
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import pytest

from entrepot.dev.process import entrepot
from entrepot.kernel.http import websocket
from tests.conftest import TestDatabase, free_port
from tests.kernel.conftest import WALLET
from tests.kernel.live.radio import Radio, Set
from tests.kernel.live.test_slow_readers import deaf

MANY = 2_000 if os.environ.get("FAULTS") == "full" else 300
MOST = 20 * 1_024  # octets of process memory for one
TOKEN = "idle"
KEY = '{"test": "' + "A" * 43 + '="}'
HANDSHAKE = (
    f"GET /api/v1/escrow/live HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {TOKEN}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()
WORDS = 60


async def listen(port: int) -> asyncio.StreamWriter:
    """A signed-in listener who has heard that the stream is ready."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE)
    assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    assert b'"ready"' in await asyncio.wait_for(reader.readuntil(b"}"), 30)
    return writer


async def sign_in(owner: asyncpg.Connection) -> None:
    """A session of that token."""
    await owner.execute(
        "INSERT INTO core.sessions (token_hash, wallet, expires_at) VALUES ($1, $2, now() + interval '1 hour')",
        hashlib.sha256(TOKEN.encode()).digest(),
        WALLET,
    )


def memory(pid: int) -> int:
    """What all processes of a server have for themselves, with their share of what they have together."""
    server = psutil.Process(pid)
    return sum(each.memory_full_info().pss for each in (server, *server.children(recursive=True)))


async def served(port: int) -> None:
    """Waits until the server answers."""
    async with aiohttp.ClientSession() as http:
        for _ in range(600):
            with suppress(aiohttp.ClientError):
                async with http.get(f"http://127.0.0.1:{port}/health/live") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
    raise AssertionError("the server did not come up")


@pytest.mark.timeout(120)
async def test_an_idle_socket_costs_a_server_less_than_twenty_kibibytes(
    database: TestDatabase, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    await sign_in(owner)
    port = free_port()
    more = {
        "DATABASE_URL": database.url,
        "ENTREPOT_HOME": str(tmp_path),
        "ENTREPOT_PORT": str(port),
        "ENTREPOT_APPS": "escrow",
        "ENTREPOT_VAULT_KEYS": KEY,
        "ENTREPOT_LIVE_STREAMS": "10000",
        "ENTREPOT_READS_PER_MINUTE": "100000",
    }
    async with entrepot("server", ["serve"], tmp_path / "server.log", more) as child:
        await served(port)
        open_ones = [await listen(port) for _ in range(30)]  # what the first ones need is there for good
        before = memory(child.process.pid)
        for _ in range(MANY // 50):
            open_ones += await asyncio.gather(*(listen(port) for _ in range(50)))
        each = (memory(child.process.pid) - before) / MANY
        print(f"{each / 1024:.1f} KiB for each of {MANY} idle sockets")
        assert each < MOST
        for writer in open_ones:
            writer.transport.abort()


async def delays(radio: Radio, quick: Set) -> list[float]:
    """Seconds between saying a long word and hearing it, while some 6 MB/s are said."""
    found = []
    for number in range(WORDS):
        began = time.perf_counter()
        await radio.say(f"{number} " + "x" * 60_000)
        await quick.words(1)
        found.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)
    return found


async def until_cut(radio: Radio) -> float:
    """After how many seconds the one that does not read was cut, while words pour in; raises TimeoutError."""
    began = time.perf_counter()
    async with asyncio.timeout(20):
        while len(radio.house.live.sockets) > 1:
            await radio.say("x" * 60_000)
            await asyncio.sleep(0.01)
    return time.perf_counter() - began


@pytest.mark.timeout(120)
async def test_a_stalled_socket_is_cut_and_makes_nobody_else_slower(
    radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "LINGER", 1.0)
    alone: list[float] = []
    beside: list[float] = []
    async with radio.tuned() as quick:
        for _ in range(3):  # in turns, as the machine is not equally busy at all times
            alone += await delays(radio, quick)
            async with deaf(radio):
                beside += await delays(radio, quick)
        async with deaf(radio) as reader:
            while len(radio.house.live.sockets) < 2:
                await asyncio.sleep(0.01)
            hearing = asyncio.create_task(drain(quick))
            assert await until_cut(radio) < 15
            hearing.cancel()
            await asyncio.sleep(2 * websocket.LINGER)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1 << 30)
    p95 = [statistics.quantiles(each, n=20)[18] for each in (alone, beside)]
    print(f"p95 {p95[0] * 1e3:.1f} ms alone, {p95[1] * 1e3:.1f} ms beside a stalled socket")
    assert p95[1] < 1.5 * p95[0] + 0.01


async def drain(listener: Set) -> None:
    """Reads whatever comes."""
    while await listener.frame(30):
        pass
