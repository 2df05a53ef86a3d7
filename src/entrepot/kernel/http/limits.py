"""Rate limits: the generic cell rate algorithm (ITU-T I.371), one float per caller, per process."""

import math
from collections.abc import Callable
from time import monotonic

from entrepot.kernel.refusal import TooMany

SWEEP_AT = 100_000


class Limit:
    """At most `per_minute` calls a minute for each key, all of which may come at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self.interval = 60.0 / per_minute
        self.burst = 60.0
        self._clock = clock
        self._due: dict[str, float] = {}

    def count(self, key: str) -> None:
        """Counts one call; raises `TooMany` with the whole seconds after which one more is taken."""
        now = self._clock()
        due = max(self._due.get(key, 0.0), now) + self.interval
        if due - now > self.burst:
            raise TooMany(retry_after=math.ceil(due - now - self.burst))
        if len(self._due) >= SWEEP_AT:
            self._due = {known: when for known, when in self._due.items() if when > now}
        self._due[key] = due
