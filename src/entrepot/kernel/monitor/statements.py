"""How long statements take, from pg_stat_statements: percentiles of what was called of late, and the slow ones' plans.

PostgreSQL keeps the number, mean and deviation of each statement's calls and no distribution, so that percentiles are
estimates: each statement's times are taken as log-normal with its mean and deviation, which is exact for a statement
that always takes equally long (docs/decisions/0014-monitoring.md).
"""

import math
import re
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import asyncpg

from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.monitor.model import SlowStatement

SLOW = 200.0  # milliseconds
MOST_PLANS = 10
ABSENT = (asyncpg.UndefinedTableError, asyncpg.ObjectNotInPrerequisiteStateError)
"""The extension is not here, or not loaded."""
# The server's role sees its own statements; what other roles do is not the market's latency.
OURS = """
    FROM pg_stat_statements s WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND s.userid = current_user::regrole AND s.toplevel
        AND s.query ~* '^\\s*(with|select|insert|update|delete|merge)'
"""
TOTALS = Query(f"SELECT s.queryid, s.calls, s.mean_exec_time AS mean, s.stddev_exec_time AS deviation {OURS}")
LONGEST = Query(f"""
    SELECT s.query, s.calls, s.mean_exec_time AS mean, s.max_exec_time AS longest, s.total_exec_time AS total, s.rows
    {OURS} AND s.max_exec_time > :slow ORDER BY s.total_exec_time DESC LIMIT :most
""")
NUMBERED = re.compile(r"\$(\d+)")
NORMAL = NormalDist()


class Total(NamedTuple):
    """All calls of a statement since the counters were reset: how many, and sums of times and of their squares."""

    calls: int
    time: float
    squares: float

    def since(self, before: "Total | None") -> "Total":
        """What came after; where the counters were reset meanwhile, that is all there is."""
        if before is None or before.calls > self.calls:
            return self
        return Total(self.calls - before.calls, self.time - before.time, self.squares - before.squares)


@dataclass(frozen=True)
class Latency:
    """Of the statements that were called in some time. Milliseconds."""

    totals: tuple[Total, ...]

    @property
    def calls(self) -> int:
        """How many there were."""
        return sum(each.calls for each in self.totals)

    def share_above(self, limit: float) -> float:
        """The share of calls that took longer, from 0 to 1."""
        return sum(each.calls * _above(each, limit) for each in self.totals) / self.calls

    def quantile(self, share: float) -> float:
        """The time within which that share of all calls ended, to a thousandth of it."""
        low, high = 1e-4, 1e7
        while high / low > 1.001:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if 1 - self.share_above(middle) < share else (low, middle)
        return high


def _above(total: Total, limit: float) -> float:
    mean = total.time / total.calls
    variance = total.squares / total.calls - mean * mean
    if mean <= 0 or variance <= 1e-9 * mean * mean:
        return float(mean > limit)
    spread = math.log1p(variance / (mean * mean))
    return 1 - NORMAL.cdf((math.log(limit / mean) + spread / 2) / math.sqrt(spread))


class Statements:
    """What the statements' counters said when this process looked last."""

    def __init__(self) -> None:
        self.before: dict[int, Total] | None = None

    async def latency(self, db: Read) -> Latency | None:
        """Of what was called since the last look; None at the first, where nothing was called, or without counters."""
        rows = await _rows(db, TOTALS)
        if rows is None:
            return None
        now: dict[int, Total] = {}
        for queryid, calls, mean, deviation in rows:
            now[queryid] = Total(calls, calls * mean, calls * (mean * mean + deviation * deviation))
        before, self.before = self.before, now
        if before is None:
            return None
        fresh = [total.since(before.get(queryid)) for queryid, total in now.items()]
        called = tuple(each for each in fresh if each.calls)
        return Latency(called) if called else None


async def are_counted(db: Read) -> bool:
    """Whether the counters are there."""
    return await _rows(db, TOTALS) is not None


async def _rows(db: Read, query: Query, **given: Any) -> list[asyncpg.Record] | None:
    """None without counters. A transaction of its own, so that one around it, as behind a pooler, can go on then."""
    try:
        async with db.connection.transaction():
            return await db.rows(query, **given)
    except ABSENT:
        return None


async def all_time(db: Read) -> Latency | None:
    """Of everything since the counters were reset."""
    look = Statements()
    look.before = {}
    return await look.latency(db)


async def slowest(db: Read, most: int = MOST_PLANS) -> list[SlowStatement]:
    """The statements of which a call took over 200 ms, by the time that they took altogether, with their plans."""
    rows = await _rows(db, LONGEST, slow=SLOW, most=most)
    return [SlowStatement(**dict(row.items()), plan=await plan(db, row["query"])) for row in rows or ()]


async def plan(db: Read, query: str) -> list[str]:
    """The plan for any values; empty where PostgreSQL cannot make one, as of constants that it took out of the text.

    A prepared statement, which PostgreSQL 15 can explain too; nothing is executed.
    """
    count = max((int(number) for number in NUMBERED.findall(query)), default=0)
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    connection, prepared = db.connection, False
    transaction = connection.transaction(readonly=True)
    await transaction.start()
    try:
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE entrepot_explained AS {query}")
        prepared = True
        async with connection.transaction():
            return [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE entrepot_explained{values}")]
    except asyncpg.PostgresError:
        return []
    finally:
        if prepared:  # inside the transaction, so that a pooler does not hand it to another connection
            await connection.execute("DEALLOCATE entrepot_explained")
        await transaction.rollback()
