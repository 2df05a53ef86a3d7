"""State machines: what the table has is legal, all else is refused."""

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.machine import Machine
from entrepot.kernel.refusal import WrongState


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    LOCKED = "locked"
    BRICKED = "bricked up"


class Move(StrEnum):
    SHUT = "shut"
    LOCK = "lock"
    UNLOCK = "unlock"
    BRICK = "brick up"
    PAINT = "paint"


DOOR = Machine(
    {
        (Door.OPEN, Move.SHUT): Door.SHUT,
        (Door.SHUT, Move.LOCK): Door.LOCKED,
        (Door.LOCKED, Move.UNLOCK): Door.SHUT,
        (Door.SHUT, Move.BRICK): Door.BRICKED,
        (Door.LOCKED, Move.BRICK): Door.BRICKED,
    }
)


def test_a_legal_move_leads_to_its_state() -> None:
    assert DOOR.after(Door.OPEN, Move.SHUT) is Door.SHUT


def test_an_illegal_move_is_refused_and_names_both_states() -> None:
    with pytest.raises(WrongState) as caught:
        DOOR.after(Door.OPEN, Move.BRICK)
    assert caught.value.facts == {"state": "open", "event": "brick up", "expected": "locked or shut"}


def test_an_event_that_no_state_takes_is_refused_too() -> None:
    with pytest.raises(WrongState) as caught:
        DOOR.after(Door.OPEN, Move.PAINT)
    assert caught.value.expected == "nothing"


def test_the_states_are_those_of_the_table_and_the_final_ones_are_left_by_none() -> None:
    assert DOOR.states == frozenset(Door)
    assert DOOR.final == {Door.BRICKED}


@given(st.sampled_from(Door), st.sampled_from(Move))
def test_it_takes_exactly_what_has_an_after(state: Door, event: Move) -> None:
    if DOOR.takes(state, event):
        assert DOOR.after(state, event) in Door
    else:
        with pytest.raises(WrongState):
            DOOR.after(state, event)


@given(st.lists(st.sampled_from(Move), max_size=30))
def test_no_walk_leaves_a_final_state(walk: list[Move]) -> None:
    state = Door.OPEN
    for event in walk:
        if DOOR.takes(state, event):
            assert state not in DOOR.final
            state = DOOR.after(state, event)
