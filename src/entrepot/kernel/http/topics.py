"""Which topics a stream follows at which moment: letters to its own topics open and close further ones."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from asyncpg import Record

from entrepot.kernel.db.doors import Read
from entrepot.kernel.http.frames import Subscription
from entrepot.kernel.work import outbox
from entrepot.kernel.work.outbox import Place, Snapshot

PAGE = 1_000


def is_change_for(to: Subscription, row: Record) -> bool:
    """Whether a row opens or closes a topic for that stream."""
    if row["opens"] is None and row["closes"] is None:
        return False
    return to.about in (None, row["about"]) and (row["topic"] in to.topics or row["also"] in to.topics)


def changed(joined: frozenset[str], row: Record) -> frozenset[str]:
    """The further topics after a row."""
    if row["opens"] is not None:
        joined |= {row["opens"]}
    if row["closes"] is not None:
        joined -= {row["closes"]}
    return joined


async def changes(db: Read, window: Place, topics: Sequence[str]) -> list[Record]:
    """Every row of a window that opens or closes a topic for the readers of these, in their order."""
    found: list[Record] = []
    while True:
        rows = await outbox.changes(db, window, PAGE, topics)
        found += rows
        if len(rows) < PAGE:
            return found
        window = Place(window.base, window.upto, rows[-1]["id"])


async def changes_for(db: Read, streams: Sequence[tuple[Subscription, Snapshot]], upto: Snapshot) -> list[list[Record]]:
    """For each stream, what has changed its topics since the snapshot that is given with it. One query for all."""
    if not streams:
        return []
    oldest = streams[0][1]
    for _, seen in streams:
        if not seen.covers(oldest):
            oldest = seen
    by_topic: defaultdict[str, dict[int, Record]] = defaultdict(dict)
    asked = list({topic for to, _ in streams for topic in to.topics})
    for row in await changes(db, Place(oldest, upto, 0), asked):
        for topic in (row["topic"], row["also"]):
            by_topic[topic][row["id"]] = row
    return [list(_unseen(to, seen, by_topic)) for to, seen in streams]


def _unseen(to: Subscription, seen: Snapshot, by_topic: dict[str, dict[int, Record]]) -> Iterable[Record]:
    found = {number: row for topic in to.topics if topic in by_topic for number, row in by_topic[topic].items()}
    for _, row in sorted(found.items()):
        if not seen.sees(row["xid"]) and is_change_for(to, row):
            yield row


class Replayed:
    """The topics of a stream while it is told what it has missed: at first those that it followed at its cursor.

    `joined` is what it follows after all that it has missed, and `rows` is what has changed that since its cursor. The
    first change of a topic tells what it was before: what was opened was not followed, what was closed was.
    """

    def __init__(self, to: Subscription, joined: frozenset[str], rows: Sequence[Record]) -> None:
        first: dict[str, bool] = {}
        for row in rows:
            if is_change_for(to, row):
                for topic, was_followed in ((row["opens"], False), (row["closes"], True)):
                    if topic is not None:
                        first.setdefault(topic, was_followed)
        self.all = tuple({*to.topics, *joined, *first})
        """Every topic that it follows at some time of it."""
        self._to = to
        self._own = frozenset(to.topics)
        self._joined = (joined - first.keys()) | {topic for topic, was_followed in first.items() if was_followed}

    def take(self, row: Record) -> bool:
        """Goes past a row, and tells whether it was for this stream."""
        is_told = self._to.about in (None, row["about"]) and (
            self._follows(row["topic"]) or (row["also"] is not None and self._follows(row["also"]))
        )
        if is_change_for(self._to, row):
            self._joined = changed(self._joined, row)
        return is_told

    def _follows(self, topic: str) -> bool:
        return topic in self._own or topic in self._joined
