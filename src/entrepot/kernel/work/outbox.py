"""The outbox: what must follow a commit is a row of its transaction, read afterwards by every process that needs it.

A place in the outbox is a snapshot and no number: numbers are given out before they are committed, so whoever goes by
the greatest one passes over the rows of slower transactions (docs/decisions/0007-outbox-and-live-streams.md).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Self

import msgspec
from asyncpg import Record

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.values import ENCODER

PUBLISH = Query("""
    INSERT INTO core.outbox (topic, about, also, opens, closes, body, expires_at)
    SELECT v.topic, v.about, v.also, v.opens, v.closes, v.body::json, v.expires_at
    FROM unnest(:topics::text[], :abouts::text[], :alsos::text[], :opened::text[], :closed::text[], :bodies::text[],
        :expire::timestamptz[]) AS v(topic, about, also, opens, closes, body, expires_at)
""")
# A transaction that wrote nothing here may have ended in the database's memory only, as a bell does or what is rolled
# back: after a crash its number is given out anew. That of a row that is seen is on the disk, with all before it.
NOW_AND_LAST = """
    pg_current_snapshot()::text AS snapshot,
    greatest((SELECT max(xid) FROM core.outbox), (SELECT last_xid FROM core.outbox_floor)) AS last
"""
# A replica that takes over begins a timeline, and so does a backup that is recovered; other servers are other systems.
# But two that begin at the same one, and know nothing of each other, number theirs alike. So each draws a name for its
# history; and as the copy of a database has the name too, it is noted for which line it was drawn.
LINE = """
    (SELECT concat_ws('.', system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()),
        ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int) FROM pg_control_system())
"""
NOW = Query(f"""
    SELECT {NOW_AND_LAST}, (SELECT CASE WHEN line = {LINE} THEN history END FROM core.outbox_floor) AS history
""")
BEGIN_HISTORY = Query(f"""
    UPDATE core.outbox_floor SET line = now.line, history = :history FROM (SELECT {LINE} AS line) AS now
    WHERE core.outbox_floor.line IS DISTINCT FROM now.line
""")
UNSEEN = """
    SELECT xid, id, topic, about, also, opens, closes, body FROM core.outbox
    WHERE (xid >= :base_xmax OR xid = ANY(:base_xip::bigint[]))
        AND xid < :upto_xmax AND xid <> ALL(:upto_xip::bigint[]) AND id > :row
        AND (expires_at IS NULL OR expires_at > now()) {more}
    ORDER BY id LIMIT :most
"""
OF_ALL = Query(UNSEEN.format(more=""))
TO_TOPICS = "AND (topic = ANY(:topics::text[]) OR also = ANY(:topics::text[]))"
OF_TOPICS = Query(UNSEEN.format(more=TO_TOPICS))
CHANGES = Query(UNSEEN.format(more=f"{TO_TOPICS} AND (opens IS NOT NULL OR closes IS NOT NULL)"))
FORGOTTEN = Query("SELECT xid FROM core.outbox_floor")
PURGE = """
    DELETE FROM core.outbox WHERE ctid = ANY(ARRAY(SELECT ctid FROM core.outbox WHERE {over} LIMIT :most))
"""
PURGE_OLD = Query(PURGE.format(over="created_at < now() - interval '24 hours'"))
PURGE_EXPIRED = Query(PURGE.format(over="expires_at <= now()"))
AT_ONCE = 10_000
SESSIONS = "core:sessions"
"""The topic of sessions that end before their time, each about a wallet: whoever serves it looks anew."""


@dataclass(frozen=True)
class Letter:
    """What is published: to whom, on which of that reader's things, and a struct that is read as JSON."""

    topic: str
    body: msgspec.Struct
    about: str | None = None
    also: str | None = None
    """A second topic. Who follows both is told once."""
    opens: str | None = None
    """A topic that live streams follow from this letter on, when they are told of it by a topic of their own."""
    closes: str | None = None
    """A topic that these follow no longer. It is told in the order in which it happened only where whoever opens,
    closes and publishes in it waits for the others, as by a lock on what the topic is about."""
    expires_at: datetime | None = None
    """From when on nobody is told any more, and it is not kept. Not for one that opens or closes a topic."""


async def publish(db: Write, letters: Sequence[Letter]) -> None:
    """Publishes in this transaction: after its commit every reader is woken; without one, nothing was said."""
    if not letters:
        return
    await db.run(
        PUBLISH,
        topics=[letter.topic for letter in letters],
        abouts=[letter.about for letter in letters],
        alsos=[letter.also for letter in letters],
        opened=[letter.opens for letter in letters],
        closed=[letter.closes for letter in letters],
        bodies=[ENCODER.encode(letter.body).decode() for letter in letters],
        expire=[letter.expires_at for letter in letters],
    )
    db.announces = True


@dataclass(frozen=True)
class Snapshot:
    """Which transactions one sees, as `pg_current_snapshot()` tells it: all below xmax but those in xip.

    One of the outbox ends at the last transaction whose rows it sees (`of`): it sees the same rows, and counts none as
    seen that a crash may have undone.
    """

    xmin: int
    xmax: int
    xip: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """From PostgreSQL's own form, `xmin:xmax:xip,xip`; raises ValueError."""
        low, high, running = text.split(":")
        made = cls(_whole(low), _whole(high), tuple(_whole(each) for each in running.split(",") if running))
        if not made.xmin <= made.xmax or any(not made.xmin <= each < made.xmax for each in made.xip):
            raise ValueError("is no snapshot")
        return made

    @classmethod
    def of(cls, row: Record) -> Self:
        """From a row with `NOW_AND_LAST`."""
        made, xmax = cls.parse(row["snapshot"]), row["last"] + 1
        return cls(min(made.xmin, xmax), min(made.xmax, xmax), tuple(xid for xid in made.xip if xid < xmax))

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.xip))}"

    def sees(self, xid: int) -> bool:
        """Whether what that transaction wrote is there, if it was committed at all."""
        return xid < self.xmax and xid not in self.xip

    def covers(self, other: Self) -> bool:
        """Whether it sees everything that the other sees."""
        return self.xmax >= other.xmax and not any(other.sees(xid) for xid in self.xip)


@dataclass(frozen=True)
class Place:
    """How far a reader is: it has all that `base` sees, and of what `upto` sees beyond that, the rows up to `row`."""

    base: Snapshot
    upto: Snapshot
    row: int

    @classmethod
    def after(cls, snapshot: Snapshot) -> Self:
        """With everything that a snapshot sees."""
        return cls(snapshot, snapshot, 0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text; raises ValueError."""
        parts = text.split("~")
        if len(parts) == 1:
            return cls.after(Snapshot.parse(text))
        base, upto, row = parts
        return cls(Snapshot.parse(base), Snapshot.parse(upto), _whole(row))

    def __str__(self) -> str:
        return f"{self.base}~{self.upto}~{self.row}" if self.row else str(self.base)

    @cached_property
    def text_of_window(self) -> str:
        """What the texts of all places in its window begin with."""
        return f"{self.base}~{self.upto}~"

    def windows(self, upto: Snapshot) -> "tuple[Place, ...]":
        """What has to be read to be as far as `upto`: the rest of the window that it stands in, then all after it."""
        rest = (self,) if self.row else ()
        return (*rest, Place(self.upto, upto, 0))


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) >= 2**63:
        raise ValueError("is no number")
    return int(text)


@dataclass(frozen=True)
class Moment:
    """What is committed, and in which history of the database: snapshots of two histories have nothing in common."""

    history: str | None
    """None where the server has begun one that has no name yet."""
    snapshot: Snapshot


async def now(db: Read) -> Moment:
    """This moment."""
    (row,) = await db.rows(NOW)
    return Moment(row["history"], Snapshot.of(row))


async def begin_history(db: Write) -> None:
    """Gives the server's history a name, where it has none yet: that of whoever is first."""
    await db.run(BEGIN_HISTORY, history=secrets.token_hex(8))


async def page(db: Read, window: Place, most: int, topics: Sequence[str] | None = None) -> list[Record]:
    """The next rows of a window, in the order in which they were written; fewer than `most` where it ends."""
    if topics is None:
        return await db.rows(OF_ALL, most=most, **_bounds(window))
    return await db.rows(OF_TOPICS, most=most, topics=list(topics), **_bounds(window))


async def changes(db: Read, window: Place, most: int, topics: Sequence[str]) -> list[Record]:
    """The next rows of a window that open or close a topic for the readers of these, in their order."""
    return await db.rows(CHANGES, most=most, topics=list(topics), **_bounds(window))


def _bounds(window: Place) -> dict[str, Any]:
    return {
        "base_xmax": window.base.xmax,
        "base_xip": list(window.base.xip),
        "upto_xmax": window.upto.xmax,
        "upto_xip": list(window.upto.xip),
        "row": window.row,
    }


async def is_kept(db: Read, place: Place) -> bool:
    """Whether everything after that place is still there; asked after it was read, it holds of what was read."""
    forgotten: int = await db.value(FORGOTTEN)
    return forgotten < place.base.xmin


async def purge_outbox(database: Database) -> None:
    """Forgets what was published over a day ago."""
    await _purge(database, PURGE_OLD)


async def purge_expired(database: Database) -> None:
    """Forgets what nobody is told any more because it has expired."""
    await _purge(database, PURGE_EXPIRED)


async def _purge(database: Database, query: Query) -> None:
    """A part at a time."""
    gone = AT_ONCE
    while gone == AT_ONCE:
        async with database.write() as db:
            gone = await db.run(query, most=AT_ONCE)
