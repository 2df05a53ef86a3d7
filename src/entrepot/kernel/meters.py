"""What a process counts of itself while it works, as Prometheus takes it.

Where PROMETHEUS_MULTIPROC_DIR is set, every process counts in a file of that folder, and any of them can tell the sum:
`entrepot serve` sets it (docs/decisions/0014-monitoring.md).
"""

import os
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

from prometheus_client import Counter, Gauge, Histogram, values

TOGETHER = "PROMETHEUS_MULTIPROC_DIR"
# 0.2 is among them, as alerts speak of it.
BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Times(Histogram):
    """A histogram that takes many observations at once, as one costs as much as a twentieth of a hot request."""

    def add(self, counts: Sequence[int], seconds: float) -> None:
        """So many more in each bucket, and all their seconds together."""
        self._sum.inc(seconds)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Tally:
    """What was observed of one kind since it was last handed on."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """One observation."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Meters:
    """All of them. Made at the first use and not at the import, which in a server's process came before its folder."""

    def __init__(self) -> None:
        # The library chooses at its own import, which is too early for the same reason.
        values.ValueClass = values.MultiProcessValue() if TOGETHER in os.environ else values.MutexValue  # type: ignore[no-untyped-call]
        self.requests = Times(
            "entrepot_http_request_seconds", "Time to answer a request.", ("method", "route", "status"), buckets=BOUNDS
        )
        self.pool_wait = Times(
            "entrepot_pool_wait_seconds", "Time that callers waited, where no connection was free.", buckets=BOUNDS
        )
        self.pool_taken = Counter("entrepot_pool_taken", "Connections that the pools lent.")
        size, in_use, waiting = (
            Gauge(f"entrepot_pool_{name}", what, multiprocess_mode="livesum")
            for name, what in (
                ("size", "Connections that the pools may lend at once."),
                ("in_use", "Connections that are lent."),
                ("waiting", "Callers that wait for a connection."),
            )
        )
        self.pool_size, self.pool_in_use, self.pool_waiting = size, in_use, waiting
        self.cache = Counter("entrepot_cache", "What the caches did.", ("what",))
        self.fresh: dict[tuple[str, str, int], Tally] = {}
        self.waits = Tally()

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request. `route` is a template, so that there are few of them."""
        tally = self.fresh.get((method, route, status))
        if tally is None:
            tally = self.fresh[method, route, status] = Tally()
        tally.add(seconds)

    def observe_wait(self, seconds: float) -> None:
        """Counts one caller who found no connection free."""
        self.waits.add(seconds)

    def hand_on(self) -> None:
        """Lets everybody see what was counted, which the access log does whenever it writes."""
        waits, self.waits = self.waits, Tally()
        self.pool_wait.add(waits.counts, waits.seconds)
        fresh, self.fresh = self.fresh, {}
        for (method, route, status), tally in fresh.items():
            self.requests.labels(method, route, str(status)).add(tally.counts, tally.seconds)


@cache
def meters() -> Meters:
    """This process's."""
    return Meters()


def counts_of(histogram: Histogram, **wanted: str) -> list[int]:
    """How many observations of this process lie in each bucket, over all labels but those wanted."""
    found = [0] * (len(BOUNDS) + 1)
    for family in histogram.collect():
        below: dict[tuple[str, ...], float] = {}
        for sample in family.samples:
            if not sample.name.endswith("_bucket") or any(sample.labels.get(n) != v for n, v in wanted.items()):
                continue
            series = tuple(value for name, value in sorted(sample.labels.items()) if name != "le")
            bound = float(sample.labels["le"])
            found[bisect_left(BOUNDS, bound)] += int(sample.value - below.get(series, 0.0))
            below[series] = sample.value
    return found


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The value in seconds below which that share lies, between a bucket's bounds by proportion; None of nothing.

    What lies above the last bound counts as that bound, as Prometheus has it.
    """
    total = sum(counts)
    if not total:
        return None
    rank, before = share * total, 0
    for place, count in enumerate(counts):
        if count and before + count >= rank:
            if place == len(BOUNDS):
                break
            lower = BOUNDS[place - 1] if place else 0.0
            return lower + (BOUNDS[place] - lower) * (rank - before) / count
        before += count
    return BOUNDS[-1]
