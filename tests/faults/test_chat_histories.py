"""The checker of histories finds each kind of fault, and none where there is none."""

from dataclasses import replace

import pytest

from tests.faults.chat_histories import Acknowledged, Histories, Said, faults

PAIR = [Said("p", seq, f"p{seq}", "ann" if seq % 2 else "bob") for seq in (1, 2, 3)]
GROUP = [
    Said("g", 1, "g1", "ann", joined="ann"),
    Said("g", 2, "g2", "ann"),
    Said("g", 3, "g3", "cat", joined="cat"),
    Said("g", 4, "g4", "ann"),
    Said("g", 5, "g5", "ann", gone="cat"),
    Said("g", 6, "g6", "ann"),
]
RIGHT = Histories(
    log=[*PAIR, *GROUP],
    members={"p": frozenset({"ann", "bob"}), "g": frozenset()},
    acknowledged=[Acknowledged(said.conversation, said.seq, said.id, said.sender) for said in PAIR],
    heard={
        "ann": [("p", 1, "p1"), ("g", 1, "g1"), ("g", 2, "g2"), ("p", 2, "p2"), ("p", 3, "p3"), ("g", 3, "g3")]
        + [("g", seq, f"g{seq}") for seq in (4, 5, 6)],
        "bob": [("p", 1, "p1"), ("p", 2, "p2"), ("p", 3, "p3")],
        "cat": [("g", 3, "g3"), ("g", 4, "g4"), ("g", 5, "g5")],
    },
)


def heard(who: str, *frames: tuple[str, int, str]) -> Histories:
    return replace(RIGHT, heard={**RIGHT.heard, who: list(frames)})


ONE, TWO, THREE = (("p", seq, f"p{seq}") for seq in (1, 2, 3))
CAT = RIGHT.heard["cat"]


def test_what_is_right_is_right() -> None:
    assert faults(RIGHT) == []
    later = replace(RIGHT, since={"p": 2}, heard={**RIGHT.heard, "bob": [THREE]})
    assert "bob" not in "".join(faults(later)), "what was said before anybody listened is due to nobody"


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (heard("bob", ONE, THREE), "(2, 'p2') was not heard"),
        (heard("bob", ONE, TWO), "(3, 'p3') was not heard"),
        (heard("bob", ONE, TWO, TWO, THREE), "(2, 'p2') was heard 2 times"),
        (heard("bob", ONE, THREE, TWO), "(2, 'p2') came after (3, 'p3')"),
        (heard("bob", ONE, TWO, ("p", 3, "other")), "(3, 'other') was not theirs to hear"),
        (heard("bob", ONE, TWO, THREE, ("g", 2, "g2")), "bob in g: (2, 'g2') was not theirs to hear"),
        (heard("cat", ("g", 2, "g2"), *CAT), "(2, 'g2') was not theirs to hear"),
        (heard("cat", *CAT, ("g", 6, "g6")), "(6, 'g6') was not theirs to hear"),
        (heard("cat", *CAT[:2]), "(5, 'g5') was not heard"),
        (replace(RIGHT, log=[*PAIR[:1], *PAIR[2:], *GROUP]), "p is numbered with a gap"),
        (replace(RIGHT, log=[*PAIR, *GROUP, Said("p", 4, "p1", "ann")]), "p1 exists 2 times"),
        (replace(RIGHT, acknowledged=[Acknowledged("p", 3, "lost", "ann")]), "lost of ann was acknowledged"),
        (replace(RIGHT, acknowledged=[Acknowledged("p", 2, "p3", "ann")]), "p3 of ann was acknowledged as 2"),
    ],
)
def test_each_fault_is_found(seen: Histories, told: str) -> None:
    assert told in "\n".join(faults(seen))
