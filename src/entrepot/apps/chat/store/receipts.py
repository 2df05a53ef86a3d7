"""SQL of receipts: how far each has received and read, and the statuses that follow from it."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.conversations import MarkRead
from entrepot.apps.chat.store.history import ids
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query

# Cursors are locked in their order, here and where messages are added, so that nobody waits in a circle.
MARK = Query("""
    WITH asked AS MATERIALIZED (
        SELECT u.id AS user_id, a.conversation, max(a.read) AS read,
            greatest(max(a.delivered), max(a.read)) AS delivered
        FROM unnest(:wallets::text[], :conversations::uuid[], :reads::bigint[], :delivered::bigint[])
            AS a(wallet, conversation, read, delivered)
        JOIN chat.users u ON u.wallet_address = a.wallet GROUP BY u.id, a.conversation
    ), held AS MATERIALIZED (
        SELECT k.conversation_id, k.user_id, least(a.read, c.last_seq) AS read,
            least(a.delivered, c.last_seq) AS delivered
        FROM chat.cursors k JOIN asked a ON (k.conversation_id, k.user_id) = (a.conversation, a.user_id)
        JOIN chat.conversations c ON c.id = k.conversation_id
        ORDER BY k.conversation_id, k.user_id FOR NO KEY UPDATE OF k
    )
    UPDATE chat.cursors k SET read_seq = greatest(k.read_seq, held.read),
        delivered_seq = greatest(k.delivered_seq, held.delivered), is_unsettled = true
    FROM held WHERE (k.conversation_id, k.user_id) = (held.conversation_id, held.user_id)
        AND (k.read_seq < held.read OR k.delivered_seq < held.delivered)
    RETURNING k.conversation_id, (SELECT wallet_address FROM chat.users WHERE id = k.user_id) AS wallet
""")
STAND = Query("""
    SELECT k.conversation_id, u.wallet_address AS wallet, k.read_seq, k.delivered_seq,
        greatest(c.last_seq - greatest(k.read_seq, k.from_seq - 1), 0) AS unread, c.is_silent,
        (SELECT wallet_address FROM chat.users WHERE id = c.first_id + c.second_id - k.user_id) AS other_wallet,
        (SELECT members FROM chat.groups WHERE id = c.id) AS members
    FROM unnest(:wallets::text[], :conversations::uuid[]) AS a(wallet, conversation)
    JOIN chat.users u ON u.wallet_address = a.wallet
    JOIN chat.cursors k ON (k.conversation_id, k.user_id) = (a.conversation, u.id)
    JOIN chat.conversations c ON c.id = k.conversation_id
""")
TAKE = Query("""
    WITH due AS MATERIALIZED (
        SELECT k.conversation_id, k.user_id, k.read_seq, k.delivered_seq, k.settled_read_seq, k.settled_delivered_seq
        FROM chat.cursors k WHERE k.is_unsettled LIMIT :most FOR NO KEY UPDATE OF k SKIP LOCKED
    )
    UPDATE chat.cursors k SET is_unsettled = false, settled_read_seq = due.read_seq,
        settled_delivered_seq = due.delivered_seq
    FROM due WHERE (k.conversation_id, k.user_id) = (due.conversation_id, due.user_id)
    RETURNING due.*
""")
# A statement of its own: a cursor that TAKE has locked may name messages that were committed after TAKE had begun.
SPANS = Query("""
    SELECT o.month, a.* FROM unnest((SELECT :conversations::uuid[]), (SELECT :users::bigint[]),
        (SELECT :firsts::bigint[]), (SELECT :lasts::bigint[]), (SELECT :statuses::text[]))
        AS a(conversation_id, user_id, first, last, status)
    JOIN chat.conversations c ON c.id = a.conversation_id AND c.first_id IS NOT NULL
    JOIN chat.conversation_months o ON o.conversation_id = a.conversation_id AND o.first_seq <= a.last
        AND (o.last_seq >= a.first OR o.month = c.month)
""")
# The bounds of a month are values, so that PostgreSQL drops the other months before it starts.
SETTLE = Query("""
    UPDATE chat.messages m SET status = a.status
    FROM unnest((SELECT :conversations::uuid[]), (SELECT :users::bigint[]), (SELECT :firsts::bigint[]),
        (SELECT :lasts::bigint[]), (SELECT :statuses::text[])) AS a(conversation, reader, first, last, status)
    WHERE m.id >= :lower AND m.id < :upper AND m.conversation_id = a.conversation
        AND m.seq BETWEEN a.first AND a.last AND m.receiver_id = a.reader AND m.status NOT IN ('read', a.status)
""")


class Unsettled(msgspec.Struct, frozen=True):
    """How far somebody is in a conversation, and how far the statuses of its messages say so."""

    conversation_id: UUID
    user_id: int
    read_seq: int
    delivered_seq: int
    settled_read_seq: int
    settled_delivered_seq: int


class Span(msgspec.Struct, frozen=True):
    """Messages to somebody, from which number to which, that are to have a status; `month` has some of them."""

    month: date
    conversation_id: UUID
    user_id: int
    first: int
    last: int
    status: str


class Stand(msgspec.Struct, frozen=True):
    """How far somebody is in a conversation, and who else is in it."""

    conversation_id: UUID
    wallet: str
    read_seq: int
    delivered_seq: int
    unread: int
    is_silent: bool
    other_wallet: str | None
    members: int | None


async def mark(db: Write, asks: Sequence[MarkRead]) -> set[tuple[str, UUID]]:
    """Moves cursors on, never back; answers whose of which conversation has moved."""
    rows = await db.rows(
        MARK,
        wallets=[ask.by for ask in asks],
        conversations=[ask.id for ask in asks],
        reads=[ask.read_seq for ask in asks],
        delivered=[ask.delivered_seq for ask in asks],
    )
    return {(row["wallet"], row["conversation_id"]) for row in rows}


async def stands(db: Write, asks: Sequence[MarkRead]) -> dict[tuple[str, UUID], Stand]:
    """How far each is now, by wallet and conversation; those that are in no such conversation are missing."""
    found = await db.all(Stand, STAND, wallets=[ask.by for ask in asks], conversations=[ask.id for ask in asks])
    return {(each.wallet, each.conversation_id): each for each in found}


async def take(db: Write, most: int) -> list[Unsettled]:
    """So many cursors that have moved since statuses were set, locked, which are settled when this is committed."""
    return await db.all(Unsettled, TAKE, most=most)


async def spans(db: Write, taken: Iterable[Unsettled]) -> list[Span]:
    """What was received and read since then, in pairs; by the months that hold it."""
    found = [
        (each.conversation_id, each.user_id, first, last, status)
        for each in taken
        for first, last, status in (
            (each.settled_read_seq + 1, each.read_seq, "read"),
            (max(each.settled_delivered_seq, each.read_seq) + 1, each.delivered_seq, "delivered"),
        )
        if first <= last
    ]
    return await db.all(Span, SPANS, **_arrays(found)) if found else []


def settling(month: date, spans: Iterable[Span]) -> dict[str, Any]:
    """The values for setting the statuses of a month."""
    found = [(each.conversation_id, each.user_id, each.first, each.last, each.status) for each in spans]
    lower, upper = ids(month)
    return {**_arrays(found), "lower": lower, "upper": upper}


def _arrays(spans: Sequence[tuple[UUID, int, int, int, str]]) -> dict[str, list[Any]]:
    names = ("conversations", "users", "firsts", "lasts", "statuses")
    return dict(zip(names, map(list, zip(*spans, strict=True)), strict=True))


async def settle(db: Write, month: date, spans: Iterable[Span]) -> None:
    """Sets the statuses of the messages of a month."""
    await db.run(SETTLE, **settling(month, spans))
