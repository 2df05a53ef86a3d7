"""Whether what people heard is what was said: a pure function over the histories of both."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Said:
    """A message or an event at its place, as the database has it. `joined` and `gone` are whom an event speaks of."""

    conversation: str
    seq: int
    id: str
    sender: str
    joined: str | None = None
    gone: str | None = None


@dataclass(frozen=True)
class Acknowledged:
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
    acknowledged: Sequence[Acknowledged]
    heard: Mapping[str, Sequence[tuple[str, int, str]]]
    """By listener: conversation, number and id, in the order in which they came."""
    since: Mapping[str, int] = field(default_factory=dict)
    """The last number of a conversation that was said before anybody listened."""


def faults(seen: Histories) -> list[str]:
    """All that is wrong; nothing where every message was heard once by each member, in order, and by nobody else."""
    log = by_conversation(seen.log)
    due = {(listener, place): said for place, talk in log.items() for listener, said in due_in(seen, place, talk)}
    wrong = [*gaps(seen, log), *lost(seen)]
    heard = {
        (listener, place): [each[1:] for each in frames if each[0] == place]
        for listener, frames in seen.heard.items()
        for place in {each[0] for each in frames}
    }
    for key in sorted(due.keys() | heard.keys()):
        wrong += compared(f"{key[0]} in {key[1]}", due.get(key, []), heard.get(key, []))
    return wrong


def by_conversation(log: Iterable[Said]) -> dict[str, list[Said]]:
    """Each conversation in its order."""
    found: dict[str, list[Said]] = defaultdict(list)
    for each in sorted(log, key=lambda said: said.seq):
        found[each.conversation].append(each)
    return found


def due_in(seen: Histories, place: str, talk: Sequence[Said]) -> list[tuple[str, list[tuple[int, str]]]]:
    """What each ought to hear of a conversation: all from joining to leaving, both included."""
    present, due = set(seen.members.get(place, ())), defaultdict[str, list[tuple[int, str]]](list)
    for said in talk:
        if said.seq <= seen.since.get(place, 0):
            continue
        present |= {said.joined} if said.joined else set()
        for listener in present & seen.heard.keys():
            due[listener].append((said.seq, said.id))
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
    """What was acknowledged and is not there, or is not there as it was acknowledged."""
    there = {(said.conversation, said.seq, said.id, said.sender) for said in seen.log}
    return [
        f"{each.id} of {each.sender} was acknowledged as {each.seq} in {each.conversation} and is not there"
        for each in seen.acknowledged
        if (each.conversation, each.seq, each.id, each.sender) not in there
    ]


def compared(where: str, due: Sequence[tuple[int, str]], heard: Sequence[tuple[int, str]]) -> list[str]:
    """What one heard of one conversation, against what was due."""
    if list(heard) == list(due):
        return []
    known, told = set(due), set(heard)
    wrong = [f"{where}: {each} was not heard" for each in due if each not in told]
    wrong += [f"{where}: {each} was heard {count} times" for each, count in Counter(heard).items() if count > 1]
    wrong += [f"{where}: {each} was not theirs to hear" for each in heard if each not in known]
    return wrong + [f"{where}: {later} came after {first}" for first, later in pairwise(heard) if later[0] < first[0]]
