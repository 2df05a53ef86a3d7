"""What the arbitrators' pool should hold, written from the rules: stakes, reputation, and who waits for whom."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

LEAST, MOST = 500, 10**11  # whole tokens
FIRST_REPUTATION, LEAST_REPUTATION, MOST_REPUTATION = 50, 10, 100
GAIN, LOSS, FORFEIT = 2, 5, 10  # points, points, percent of the stake


@dataclass
class Seat:
    """One arbitrator, in the pool or gone. The stake is base units."""

    stake: int
    reputation: int = FIRST_REPUTATION
    is_seated: bool = True
    resolved: int = 0
    waits: Counter[int] = field(default_factory=Counter)
    """The disputes that wait for its ruling."""


@dataclass
class Seats:
    """The pool. `unit` is one whole token of the stakes."""

    unit: int
    known: dict[str, Seat] = field(default_factory=dict)
    forfeited: int = 0

    def is_active(self, wallet: str) -> bool:
        """Whether it can be drawn."""
        seat = self.known.get(wallet)
        if seat is None or not seat.is_seated:
            return False
        return seat.stake >= LEAST * self.unit and seat.reputation >= LEAST_REPUTATION

    def register(self, wallet: str, tokens: int) -> bool:
        """Joins, where that is legal; whether it was."""
        seat = self.known.get(wallet)
        returns = seat is not None and not seat.is_seated and seat.reputation >= LEAST_REPUTATION
        if not LEAST <= tokens <= MOST or (seat is not None and not returns):
            return False
        if seat is None:
            self.known[wallet] = Seat(tokens * self.unit)
        else:
            seat.stake, seat.is_seated = tokens * self.unit, True
        return True

    def increase(self, wallet: str, tokens: int) -> bool:
        """Stakes more."""
        seat = self.known.get(wallet)
        if seat is None or not seat.is_seated or not tokens:
            return False
        seat.stake += tokens * self.unit
        return True

    def leave(self, wallet: str) -> bool:
        """Takes the stake out, unless a dispute waits."""
        seat = self.known.get(wallet)
        if seat is None or not seat.is_seated or seat.waits.total():
            return False
        seat.stake, seat.is_seated = 0, False
        return True

    def may_draw(self, excluded: Iterable[str]) -> set[str]:
        """Whom a draw may fall on."""
        return {wallet for wallet in self.known if self.is_active(wallet)} - set(excluded)

    def assign(self, wallet: str, order: int) -> None:
        """A draw fell on it."""
        self.known[wallet].waits[order] += 1

    def ruled(self, wallet: str, order: int) -> None:
        """In time."""
        seat = self.known[wallet]
        del seat.waits[order]
        seat.resolved, seat.reputation = seat.resolved + 1, min(seat.reputation + GAIN, MOST_REPUTATION)

    def missed(self, wallet: str, order: int) -> None:
        """Not in time. What is forfeited is whole millionths, rounded down."""
        seat = self.known[wallet]
        del seat.waits[order]
        millionth = self.unit // 10**6
        forfeit = seat.stake // millionth * FORFEIT // 100 * millionth
        seat.stake, seat.reputation = seat.stake - forfeit, max(0, seat.reputation - LOSS)
        self.forfeited += forfeit
