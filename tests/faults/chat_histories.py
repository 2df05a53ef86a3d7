"""Whether what people heard is what was said: a pure function over the histories of both."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


@dataclass(frozen=True)
class Said:
    """A message or an event at its place, as the database has it. `joined` and `gone` are whom an event speaks of."""

    conversation: str
    seq: int
    id: str
    sender: str
    body: str
    is_event: bool = False
    joined: str | None = None
    gone: str | None = None


class Heard(NamedTuple):
    """What somebody was told of it."""

    conversation: str
    seq: int
    id: str
    sender: str
    body: str


class Asked(NamedTuple):
    """What a sender wanted to be sent."""

    conversation: str
    id: str
    sender: str
    body: str


class Acknowledged(NamedTuple):
    """What a sender was answered."""

    conversation: str
    seq: int
    id: str
    sender: str


@dataclass
class Histories:
    """What was said, from when on it is looked at, who was in which conversation then, and what everybody saw."""

    log: Sequence[Said]
    members: Mapping[str, frozenset[str]]
    asked: Sequence[Asked]
    acknowledged: Sequence[Acknowledged]
    heard: Mapping[str, Sequence[Heard]]
    """By listener, in the order in which it came."""
    refused: Collection[str] = ()
    """Ids of what was not taken, from who was no member."""
    since: Mapping[str, int] = field(default_factory=dict)
    """The last number of a conversation that was said before anybody listened."""


def faults(seen: Histories) -> list[str]:
    """All that is wrong; nothing where every message was heard once by each member, in order, and by nobody else."""
    log = by_conversation(seen.log)
    due = {(listener, place): said for place, talk in log.items() for listener, said in due_in(seen, place, talk)}
    wrong = [*gaps(seen, log), *lost(seen), *made_up(seen)]
    heard = defaultdict[tuple[str, str], list[Heard]](list)
    for listener, frames in seen.heard.items():
        for frame in frames:
            heard[listener, frame.conversation].append(frame)
    for key in sorted(due.keys() | heard.keys()):
        wrong += compared(f"{key[0]} in {key[1]}", due.get(key, []), heard.get(key, []))
    return wrong


def by_conversation(log: Iterable[Said]) -> dict[str, list[Said]]:
    """Each conversation in its order."""
    found: dict[str, list[Said]] = defaultdict(list)
    for each in sorted(log, key=lambda said: said.seq):
        found[each.conversation].append(each)
    return found


def due_in(seen: Histories, place: str, talk: Sequence[Said]) -> list[tuple[str, list[Heard]]]:
    """What each ought to hear of a conversation: all from joining to leaving, both included."""
    present, due = set(seen.members.get(place, ())), defaultdict[str, list[Heard]](list)
    for said in talk:
        if said.seq <= seen.since.get(place, 0):
            continue
        present |= {said.joined} if said.joined else set()
        for listener in present & seen.heard.keys():
            due[listener].append(Heard(place, said.seq, said.id, said.sender, said.body))
        present -= {said.gone}
    return list(due.items())


def gaps(seen: Histories, log: Mapping[str, Sequence[Said]]) -> list[str]:
    """Conversations whose numbers are not 1, 2, 3..., and ids that are there twice."""
    wrong = [
        f"{place} is numbered with a gap or twice"
        for place, talk in log.items()
        if [said.seq for said in talk] != list(range(1, len(talk) + 1))
    ]
    return wrong + [
        f"{each} exists {count} times" for each, count in Counter(s.id for s in seen.log).items() if count > 1
    ]


def lost(seen: Histories) -> list[str]:
    """What was acknowledged and is not there, or is not there as it was acknowledged; what nobody ever answered to."""
    there = {(said.conversation, said.seq, said.id, said.sender) for said in seen.log}
    wrong = [
        f"{each.id} of {each.sender} was acknowledged as {each.seq} in {each.conversation} and is not there"
        for each in seen.acknowledged
        if each not in there
    ]
    known = {each.id for each in seen.acknowledged}.union(seen.refused)
    return wrong + [f"{each.id} of {each.sender} was never answered to" for each in seen.asked if each.id not in known]


def made_up(seen: Histories) -> list[str]:
    """What is there and was not asked to be, by that sender, in that conversation, in these words."""
    asked = set(seen.asked)
    return [
        f"{said.id} is in {said.conversation}, and {said.sender} never asked for it"
        for said in seen.log
        if not said.is_event and said.seq > seen.since.get(said.conversation, 0)
        if (said.conversation, said.id, said.sender, said.body) not in asked
    ]


def compared(where: str, due: Sequence[Heard], heard: Sequence[Heard]) -> list[str]:
    """What one heard of one conversation, against what was due."""
    if heard == due:
        return []
    known, told = set(due), set(heard)
    wrong = [f"{where}: {each.seq}, {each.id}, was not heard" for each in due if each not in told]
    wrong += [f"{where}: {each.seq}, {each.id}, was heard {n} times" for each, n in Counter(heard).items() if n > 1]
    wrong += [f"{where}: {each.seq}, {each.id}, was not theirs to hear" for each in heard if each not in known]
    return wrong + [
        f"{where}: {later.seq} came after {first.seq}" for first, later in pairwise(heard) if later.seq < first.seq
    ]
