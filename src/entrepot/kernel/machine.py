"""A state machine is a table of (state, event) -> state, written once."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from entrepot.kernel.refusal import WrongState

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class Machine(Generic[S, E]):
    """All legal moves of one kind of thing; anything else is refused."""

    def __init__(self, moves: Mapping[tuple[S, E], S]) -> None:
        self.moves = dict(moves)

    @property
    def states(self) -> frozenset[S]:
        """Every state that the table names."""
        return frozenset(state for state, _ in self.moves) | frozenset(self.moves.values())

    @property
    def final(self) -> frozenset[S]:
        """The states that nothing leaves."""
        return self.states - {state for state, _ in self.moves}

    def takes(self, state: S, event: E) -> bool:
        """Whether the event is legal in this state."""
        return (state, event) in self.moves

    def after(self, state: S, event: E) -> S:
        """The state that follows; raises `WrongState`, naming both states, where the table has no such move."""
        if (state, event) not in self.moves:
            expected = sorted({was for was, taken in self.moves if taken == event})
            raise WrongState(state=state, event=event, expected=" or ".join(expected) or "nothing")
        return self.moves[state, event]
