"""The reference's query targets: p95 of each read at 16 concurrent clients, by the application's own statements."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bench import statements
from bench.latency import CLIENTS, measure, open_pool
from entrepot.kernel.db.doors import Read


async def all_targets(dsn: str, seconds: float, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """One target after the other over one pool."""
    pool = await open_pool(dsn)
    async with pool.acquire() as connection:
        drawn = await statements.Drawn.take(Read(connection))
    found: list[dict[str, Any]] = []
    groups = (statements.listings, statements.lookups, statements.searches)
    for target in [target for group in groups for target in group(drawn)]:
        result = await measure(pool, target.name, target.call, seconds, target.goal)
        tell(f"{result.name:58} p50 {result.p50:7.1f} ms  p95 {result.p95:7.1f} ms  goal {target.goal:4.0f} ms")
        found.append(asdict(result))
    await pool.close()
    return found


def run(dsn: str, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """The table of all targets."""
    return {"clients": CLIENTS, "seconds": seconds, "targets": asyncio.run(all_targets(dsn, seconds, tell))}
