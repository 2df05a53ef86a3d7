"""Busts: a writer says in its transaction what must be forgotten, and every process remembers it while it matters."""

from collections import deque
from collections.abc import Iterable, Sequence

from entrepot.kernel.cache.counts import Counts
from entrepot.kernel.cache.kind import Cached
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.work.outbox import Snapshot

TOPIC = "core:cache"
FORGET = Query(f"""
    INSERT INTO core.outbox (topic, about, body)
    SELECT '{TOPIC}', tag, '{{}}'::json FROM unnest(:tags::text[]) AS tag RETURNING xid
""")
MOST_THINGS = 200
"""One writer names so many things; of more, the whole kind is forgotten."""
MOST_KNOWN = 100_000


async def forget(db: Write, kind: Cached, things: Iterable[object] | None = None) -> None:
    """With this transaction's commit, answers of that kind are forgotten: those of these things, or all.

    The writing process forgets them before its caller hears of the commit, the others some milliseconds later.
    """
    named = None if things is None or kind.about is None else sorted({kind.tag(thing) for thing in things})
    if named == []:
        return
    tags = [kind.name] if named is None or len(named) > MOST_THINGS else named
    xid: int = await db.value(FORGET, tags=tags)
    db.busts.extend((tag, xid) for tag in tags)
    db.announces = True


class _Tag:
    """The busts of one tag: the number of the last of them, and the transactions that wrote them."""

    __slots__ = ("highest", "last", "xids")

    def __init__(self) -> None:
        self.last = self.highest = 0
        self.xids: set[int] = set()

    def is_seen(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot sees all of these transactions."""
        return self.highest < snapshot.xmax and self.xids.isdisjoint(snapshot.xip)


class Busts:
    """What one process knows of busts, for `lasts` seconds: by then nothing that is older is served anyway.

    What was loaded here is held against the order in which this process heard of busts: `stamp` is how many there were
    when the load began. What another process loaded is held against the transactions themselves: it began to load
    under a snapshot, and a snapshot that does not see a writer may stand for an answer that does not know what was
    written.
    """

    def __init__(self, lasts: float, counts: Counts) -> None:
        self.lasts, self.counts = lasts, counts
        self.stamp = 0
        self._floor = 0
        self._tags: dict[str, _Tag] = {}
        self._heard: deque[tuple[float, str, int]] = deque()
        self._seen: Snapshot | None = None

    def note(self, tag: str, xid: int, now: float) -> bool:
        """A bust was heard of, at that time of the process's clock; False where it was known."""
        known = self._tags.setdefault(tag, _Tag())
        if xid in known.xids:
            return False
        self.stamp += 1
        known.last = self.stamp
        known.xids.add(xid)
        known.highest = max(known.highest, xid)
        self.counts.busts += 1
        self._heard.append((now, tag, xid))
        return True

    def start_over(self, seen: Snapshot) -> None:
        """Nothing is known of what was written before `seen`, so all that was loaded before is good for nothing."""
        self.stamp += 1
        self._floor = self.stamp
        self._tags.clear()
        self._heard.clear()
        self._seen = seen

    def forget_old(self, now: float, seen: Snapshot) -> None:
        """Drops what no entry can be as old as; far too many at once are a reason to start over."""
        if len(self._heard) > MOST_KNOWN:
            self.start_over(seen)
        while self._heard and self._heard[0][0] < now - self.lasts:
            _, tag, xid = self._heard.popleft()
            known = self._tags[tag]
            known.xids.discard(xid)
            if not known.xids:
                del self._tags[tag]

    def is_good(self, stamp: int, tags: Sequence[str]) -> bool:
        """Whether none of these was bust since that stamp."""
        if stamp < self._floor:
            return False
        for tag in tags:
            known = self._tags.get(tag)
            if known is not None and known.last > stamp:
                return False
        return True

    def is_seen(self, snapshot: Snapshot, tags: Sequence[str]) -> bool:
        """Whether who began under that snapshot has seen every bust of these that is known here."""
        if self._seen is None or not snapshot.covers(self._seen):
            return False
        return all(self._tags[tag].is_seen(snapshot) for tag in tags if tag in self._tags)
