"""Refusals: the docstring is the message, the fields are the facts."""

import pytest

from entrepot.kernel.refusal import Conflict, Forbidden, Malformed, Refusal, TooMany, WrongState, slug


def test_a_refusal_tells_its_facts_in_its_message() -> None:
    refused = WrongState(state="completed", event="cancel", expected="created")
    assert str(refused) == "It is completed and does not take cancel; it would have to be created."
    assert refused.facts == {"state": "completed", "event": "cancel", "expected": "created"}


def test_a_refusal_takes_its_facts_by_position_too() -> None:
    assert Malformed("price", "must be at least 1.0").message == "price: must be at least 1.0"


def test_a_refusal_without_facts_is_its_docstring() -> None:
    assert str(Forbidden()) == "You may not do this."
    assert Forbidden().facts == {}


def test_a_missing_fact_is_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError, match="retry_after"):
        TooMany()  # type: ignore[call-arg]


def test_a_message_over_several_lines_is_told_in_one() -> None:
    class Long(Refusal):
        """This is a message
        of {lines} lines."""

        lines: int

    assert str(Long(2)) == "This is a message of 2 lines."


def test_a_fact_with_braces_in_it_is_not_filled_in_again() -> None:
    assert Malformed("{field}", "{reason} {0}").message == "{field}: {reason} {0}"


def test_two_refusals_with_the_same_facts_are_two() -> None:
    one, other = Malformed("a", "b"), Malformed("a", "b")
    assert one != other
    assert len({one, other}) == 2


def test_a_refusal_can_be_the_cause_of_another() -> None:
    def refuse() -> None:
        raise Conflict from Malformed("a", "b")

    with pytest.raises(Conflict) as caught:
        refuse()
    assert isinstance(caught.value.__cause__, Malformed)


def test_the_slug_is_the_name_in_words() -> None:
    assert slug(WrongState) == "wrong-state"
    assert slug(TooMany) == "too-many"
