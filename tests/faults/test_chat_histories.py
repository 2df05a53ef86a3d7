"""The checker of histories finds each kind of fault, and none where there is none."""

from dataclasses import replace

import pytest

from tests.faults.chat_histories import Acknowledged, Asked, Heard, Histories, Said, faults


def said(place: str, seq: int, by: str, **event: str) -> Said:
    name = f"{place}{seq}"
    return Said(place, seq, name, by, "" if event else f"sealed {name}", is_event=bool(event), **event)


PAIR = [said("p", seq, "ann" if seq % 2 else "bob") for seq in (1, 2, 3)]
GROUP = [
    said("g", 1, "ann", joined="ann"),
    said("g", 2, "ann"),
    said("g", 3, "cat", joined="cat"),
    said("g", 4, "ann"),
    said("g", 5, "ann", gone="cat"),
    said("g", 6, "ann"),
]
PAIR_HEARD, GROUP_HEARD = ([Heard(s.conversation, s.seq, s.id, s.sender, s.body) for s in log] for log in (PAIR, GROUP))
RIGHT = Histories(
    log=[*PAIR, *GROUP],
    members={"p": frozenset({"ann", "bob"}), "g": frozenset()},
    asked=[Asked(each.conversation, each.id, each.sender, each.body) for each in PAIR + GROUP if not each.is_event],
    acknowledged=[
        Acknowledged(each.conversation, each.seq, each.id, each.sender) for each in PAIR + GROUP if not each.is_event
    ],
    heard={
        "ann": [PAIR_HEARD[0], *GROUP_HEARD[:2], *PAIR_HEARD[1:], *GROUP_HEARD[2:]],
        "bob": PAIR_HEARD,
        "cat": GROUP_HEARD[2:5],
    },
)


def heard(who: str, *frames: Heard) -> Histories:
    return replace(RIGHT, heard={**RIGHT.heard, who: list(frames)})


def acknowledged(*more: Acknowledged) -> Histories:
    return replace(RIGHT, acknowledged=[*RIGHT.acknowledged, *more])


ONE, TWO, THREE = PAIR_HEARD
CAT = GROUP_HEARD[2:5]


def test_what_is_right_is_right() -> None:
    assert faults(RIGHT) == []
    later = replace(RIGHT, since={"p": 2}, heard={**RIGHT.heard, "bob": [THREE]})
    assert "bob" not in "".join(faults(later)), "what was said before anybody listened is due to nobody"
    unheard = replace(RIGHT, asked=[*RIGHT.asked, Asked("g", "g9", "cat", "sealed")], refused={"g9"})
    assert faults(unheard) == [], "who was refused is answered to"


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (heard("bob", ONE, THREE), "2, p2, was not heard"),
        (heard("bob", ONE, TWO), "3, p3, was not heard"),
        (heard("bob"), "1, p1, was not heard"),
        (heard("bob", ONE, TWO, TWO, THREE), "2, p2, was heard 2 times"),
        (heard("bob", ONE, TWO, THREE, ONE), "1, p1, was heard 2 times"),
        (heard("bob", ONE, THREE, TWO), "2 came after 3"),
        (heard("bob", ONE, TWO, THREE._replace(id="other")), "3, other, was not theirs to hear"),
        (heard("bob", ONE, TWO, THREE._replace(sender="bob")), "3, p3, was not theirs to hear"),
        (heard("bob", ONE, TWO, THREE._replace(body="altered")), "3, p3, was not heard"),
        (heard("bob", ONE, TWO, THREE, GROUP_HEARD[1]), "bob in g: 2, g2, was not theirs to hear"),
        (heard("cat", GROUP_HEARD[1], *CAT), "2, g2, was not theirs to hear"),
        (heard("cat", *CAT, GROUP_HEARD[5]), "6, g6, was not theirs to hear"),
        (heard("cat", *CAT[:2]), "5, g5, was not heard"),
        (replace(RIGHT, log=[*PAIR[:1], *PAIR[2:], *GROUP]), "p is numbered with a gap"),
        (replace(RIGHT, log=[*PAIR, *GROUP, replace(PAIR[0], seq=4)]), "p1 exists 2 times"),
        (replace(RIGHT, log=[*PAIR, *GROUP, said("p", 4, "ann")]), "ann never asked for it"),
        (replace(RIGHT, log=[*PAIR[:2], replace(PAIR[2], body="altered"), *GROUP]), "p3 is in p, and ann never asked"),
        (acknowledged(Acknowledged("p", 3, "lost", "ann")), "lost of ann was acknowledged as 3"),
        (acknowledged(Acknowledged("p", 2, "p3", "ann")), "p3 of ann was acknowledged as 2"),
        (replace(RIGHT, acknowledged=RIGHT.acknowledged[1:]), "p1 of ann was never answered to"),
    ],
)
def test_each_fault_is_found(seen: Histories, told: str) -> None:
    assert told in "\n".join(faults(seen))
