"""How much of a pool is in use, and how long callers waited: plain counts, as every read pays for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from entrepot.kernel.meters import meters


class Usage:
    """Of one pool. `most` is how many connections it may lend at once."""

    __slots__ = ("in_use", "most", "taken", "waiting")

    def __init__(self, most: int) -> None:
        self.most = most
        self.in_use = 0
        self.waiting = 0
        self.taken = 0
        """How many were lent since the process began."""

    def take(self) -> None:
        """One more is lent."""
        self.in_use += 1
        self.taken += 1

    def give(self) -> None:
        """One is back."""
        self.in_use -= 1

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Around the wait of a caller who finds none free; also where it is in vain."""
        began = perf_counter()
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            meters().observe_wait(perf_counter() - began)
