"""What the cache did since the process began, as plain counts, because every hit pays for them."""

import msgspec

from entrepot.kernel.meters import meters


class Counts(msgspec.Struct):
    """Answers by where they came from, and what went on behind them."""

    near_hits: int = 0
    """Served from the process."""
    far_hits: int = 0
    """Loads that Redis answered."""
    misses: int = 0
    """Loads that the database was asked for."""
    joined: int = 0
    """Served by a load that somebody else had begun."""
    renewals: int = 0
    """Loads begun before the answer's time was over."""
    busts: int = 0
    """Told by writers, of this process and of others."""
    redis_failures: int = 0

    def report(self, told: "Counts") -> "Counts":
        """Adds to the process's meters what was counted since `told`; answers what is told now."""
        now = msgspec.structs.replace(self)
        for what in self.__struct_fields__:
            meters().cache.labels(what).inc(getattr(now, what) - getattr(told, what))
        return now
