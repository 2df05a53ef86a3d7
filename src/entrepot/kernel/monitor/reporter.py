"""The reporter of a process: looks at itself every few seconds, and writes what it saw once a minute, in one insert."""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

import psutil

from entrepot.kernel import clock
from entrepot.kernel.db.database import Database
from entrepot.kernel.meters import counts_of, meters, quantile
from entrepot.kernel.monitor import store
from entrepot.kernel.monitor.model import Metric, PoolUse

LOG = logging.getLogger("entrepot.monitor")
LOOK_SECONDS = 5.0
REPORT_SECONDS = 60.0
SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


class Minute:
    """What this process counted up to the last report; what it counted since is the difference."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.requests = counts_of(meters().requests)
        self.waits = counts_of(meters().pool_wait)
        self.taken = database.pool.usage.taken
        self.uses: list[float] = []

    def look(self) -> None:
        """Notes how full the pool is."""
        usage = self.database.pool.usage
        self.uses.append(usage.in_use / usage.most)

    @property
    def use(self) -> float:
        """The mean share of the pool that was in use, as far as it was looked at."""
        return sum(self.uses) / len(self.uses) if self.uses else 0.0

    def answered(self) -> list[int]:
        """How many requests were answered since, by how long they took."""
        return _difference(counts_of(meters().requests), self.requests)

    def wait(self, share: float) -> float:
        """Within how many milliseconds that share of all callers had a connection."""
        meters().hand_on()
        waits = _difference(counts_of(meters().pool_wait), self.waits)
        taken, waited = self.database.pool.usage.taken - self.taken, sum(waits)
        if not waited or share * taken <= taken - waited:
            return 0.0
        inner = 1 - (1 - share) * taken / waited
        return 1000 * (quantile(waits, min(1.0, max(inner, 0.0))) or 0.0)


def _difference(now: Sequence[int], before: Sequence[int]) -> list[int]:
    return [each - was for each, was in zip(now, before, strict=True)]


class Reporter:
    """Reports for one process while its block runs. `service` is what the process is: server or worker."""

    def __init__(self, service: str, database: Database) -> None:
        self.service, self.database = service, database
        self.minute = Minute(database)
        self.process = psutil.Process()
        self.more = {"host": socket.gethostname(), "pid": os.getpid()}
        self._counted = database.pool.usage.taken
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.process.cpu_percent()  # the first answer is from nothing
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for gauge in (meters().pool_size, meters().pool_in_use, meters().pool_waiting):
            gauge.set(0)

    async def _run(self) -> None:
        while True:
            for _ in range(int(REPORT_SECONDS / LOOK_SECONDS)):
                self.look()
                await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.report()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next minute is another
                LOG.warning("what this process counted was not written: %s", str(error) or type(error).__name__)

    def look(self) -> None:
        """Brings what Prometheus is told of the pool up to now."""
        usage = self.database.pool.usage
        self.minute.look()
        meters().pool_size.set(usage.most)
        meters().pool_in_use.set(usage.in_use)
        meters().pool_waiting.set(usage.waiting)
        meters().pool_taken.inc(usage.taken - self._counted)
        self._counted = usage.taken

    def pool(self) -> PoolUse:
        """The pool as it is now."""
        usage = self.database.pool.usage
        return PoolUse(
            process=f"{self.service} {self.more['pid']} on {self.more['host']}",
            size=usage.most,
            in_use=usage.in_use,
            waiting=usage.waiting,
            use=self.minute.use,
            wait_p50=self.minute.wait(0.50),
            wait_p95=self.minute.wait(0.95),
            wait_p99=self.minute.wait(0.99),
        )

    async def report(self) -> None:
        """Writes what was seen since the last report."""
        metrics = self._metrics()
        self.minute = Minute(self.database)
        async with self.database.write() as db:
            await store.add_metrics(db, metrics)

    def _metrics(self) -> list[Metric]:
        meters().hand_on()
        pool, answered = self.pool(), self.minute.answered()
        found: list[tuple[str, float, str]] = [
            ("cpu", self.process.cpu_percent(), "percent"),
            ("memory", float(self.process.memory_info().rss), "bytes"),
            ("requests", float(sum(answered)), "count"),
            ("pool_size", float(pool.size), "count"),
            ("pool_in_use", float(pool.in_use), "count"),
            ("pool_waiting", float(pool.waiting), "count"),
            ("pool_use", 100 * pool.use, "percent"),
        ]
        for name, share in SHARES.items():
            found.append((f"pool_wait_{name}", self.minute.wait(share), "ms"))
            if (seconds := quantile(answered, share)) is not None:
                found.append((f"latency_{name}", 1000 * seconds, "ms"))
        now = clock.now()
        more: dict[str, Any] = dict(self.more)
        return [Metric(self.service, name, value, unit, now, more) for name, value, unit in found]
