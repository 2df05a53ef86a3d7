"""Rate limits: the generic cell rate algorithm (ITU-T I.371), one float per caller, per process."""

import math
from collections.abc import Callable
from time import monotonic

from entrepot.kernel.refusal import TooMany

SWEEP_AT = 100_000
ROUNDING = 0.001
"""Seconds: more than floats lose."""


class Limit:
    """At most `per_minute` calls a minute for each key, all of which may come at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self.interval = 60.0 / per_minute
        self.burst = 60.0
        self.sweep_at = SWEEP_AT
        self._clock = clock
        self._due: dict[str, float] = {}

    def count(self, key: str) -> None:
        """Counts one call; raises `TooMany` with the whole seconds after which one more is taken."""
        now = self._clock()
        due = max(self._due.get(key, 0.0), now) + self.interval
        if (ahead := due - now - self.burst - ROUNDING) > 0:
            raise TooMany(retry_after=math.ceil(ahead))
        if len(self._due) >= self.sweep_at:
            self._due = {known: when for known, when in self._due.items() if when > now}
            self.sweep_at = max(SWEEP_AT, 2 * len(self._due))
        self._due[key] = due
