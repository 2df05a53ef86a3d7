"""Closed-loop latency of asynchronous calls: so many clients, each asking again as soon as it is answered."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.pool import prepare

CLIENTS = 16


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one query under load, and how many answers a second."""

    name: str
    calls: int
    p50: float
    p95: float
    highest: float
    per_second: float
    goal: float | None = None


Call = Callable[[Read, random.Random], Awaitable[object]]


async def leave_alone(_: asyncpg.Connection) -> None:
    """Nothing leaves session state behind, so a release needs no round trip."""


async def open_pool(dsn: str, size: int = CLIENTS) -> asyncpg.Pool:
    """A pool of exactly `size` connections in UTC with the application's codecs."""
    return await asyncpg.create_pool(
        dsn,
        min_size=size,
        max_size=size,
        init=prepare,
        reset=leave_alone,
        server_settings={"timezone": "UTC", "application_name": "bench"},
    )


async def measure(pool: asyncpg.Pool, name: str, call: Call, seconds: float, goal: float | None = None) -> Latency:
    """Warm each client up with five calls, then measure for `seconds`."""
    taken: list[float] = []

    async def client(seed: int) -> None:
        rng = random.Random(seed)
        async with pool.acquire() as connection:
            db = Read(connection)
            for _ in range(5):
                await call(db, rng)
            until = time.perf_counter() + seconds
            while (began := time.perf_counter()) < until:
                await call(db, rng)
                taken.append(time.perf_counter() - began)

    await asyncio.gather(*(client(seed) for seed in range(CLIENTS)))
    taken.sort()
    return Latency(
        name=name,
        calls=len(taken),
        p50=taken[len(taken) // 2] * 1e3,
        p95=taken[int(len(taken) * 0.95)] * 1e3,
        highest=taken[-1] * 1e3,
        per_second=len(taken) / seconds,
        goal=goal,
    )
