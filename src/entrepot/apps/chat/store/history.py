"""SQL of what was said: a page is a range of numbers, read from the months that hold it and from no other."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from entrepot.apps.chat.calls.messages import ListMessages
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.values import least_id


@dataclass(frozen=True)
class Page:
    """Where a page lies: its numbers, and the months that hold them, in their order."""

    first: int
    last: int
    months: list[date]
    next_cursor: str | None


def base64(column: str) -> str:
    """Octets as the interface carries them: in one line."""
    return f"replace(encode({column}, 'base64'), E'\\n', '')"


MESSAGE = f"""m.id, m.seq, (SELECT wallet_address FROM chat.users WHERE id = m.sender_id) AS sender_wallet,
    {base64("m.ciphertext")} AS ciphertext, {base64("m.nonce")} AS nonce, m.event,
    {moment("m.timestamp")} AS timestamp, {moment("m.expires_at")} AS expires_at"""
"""A message as it is answered, of the row `m`."""
# A cursor from beyond either end is one at that end: no empty pages lead there.
PAGE = Query("""
    WITH place AS (
        SELECT c.month, c.last_seq, k.from_seq, CASE WHEN :back
                THEN least(coalesce(:seq::bigint, c.last_seq + 1), c.last_seq + 1)
                ELSE greatest(:seq, k.from_seq - 1) END AS at
        FROM chat.cursors k JOIN chat.conversations c ON c.id = k.conversation_id
        WHERE k.conversation_id = :id AND k.user_id = (SELECT id FROM chat.users WHERE wallet_address = :by)
    ), mine AS MATERIALIZED (
        SELECT month, greatest(from_seq, CASE WHEN :back THEN at - :limit::bigint ELSE at + 1 END) AS first,
            least(last_seq, CASE WHEN :back THEN at - 1 ELSE at + :limit::bigint END) AS last,
            CASE WHEN :back THEN from_seq ELSE last_seq END AS edge
        FROM place
    )
    SELECT first, last, ARRAY(
            SELECT o.month FROM chat.conversation_months o
            WHERE o.conversation_id = :id AND o.first_seq <= mine.last
                AND (o.last_seq >= mine.first OR o.month = mine.month)
            ORDER BY o.month) AS months,
        CASE WHEN :back AND first > edge THEN 'before~' || first
            WHEN NOT :back AND last < edge THEN 'after~' || last END AS next_cursor
    FROM mine
""")
IS_THERE = "(m.expires_at IS NULL OR m.expires_at > now())"
WITHIN = f"""m.id >= {{lower}} AND m.id < {{upper}} AND m.conversation_id = :id AND m.seq BETWEEN :least AND :most
    AND {IS_THERE}"""


def answer(page: str) -> Query:
    """The statement that answers with the rows of another, if there are as many as are wanted."""
    return Query(f"""
        SELECT CASE WHEN count(*) >= :wanted::bigint THEN json_build_object(
            'items', coalesce(json_agg(page ORDER BY page.seq) FILTER (WHERE seq BETWEEN :first AND :last), '[]'::json),
            'next_cursor', :next_cursor::text) END
        FROM ({page}) page
    """)


# Bounds that are values let PostgreSQL drop the other months before it starts: an eighth less for the whole page.
STRETCH = answer(f"""
    SELECT {MESSAGE} FROM chat.messages m WHERE {WITHIN.format(lower=":lower", upper=":upper")}
""")
# The subquery hides from the planner how many there are; it would else plan anew for each page, which takes longer than
# to read it. OFFSET 0 keeps it from reading all months first and joining them afterwards, as it does for small ones.
STRETCHES = answer(f"""
    SELECT found.* FROM unnest((SELECT :lowers::uuid[]), (SELECT :uppers::uuid[])) AS o (lower, upper), LATERAL (
        SELECT {MESSAGE} FROM chat.messages m WHERE {WITHIN.format(lower="o.lower", upper="o.upper")} OFFSET 0
    ) found
""")
FIRST_ID = "core.least_id(({month})::timestamp AT TIME ZONE 'UTC')"


def nearest(best: str, reach: str, order: str, months: str) -> Query:
    """The statement for the nearest number of which a message is there. Ids come late, so months overlap in numbers."""
    return Query(f"""
        SELECT {best}(found.seq) FROM chat.cursors k, chat.conversations c, chat.conversation_months o, LATERAL (
            SELECT m.seq FROM chat.messages m WHERE m.id >= {FIRST_ID.format(month="o.month")}
                AND m.id < {FIRST_ID.format(month="o.month + interval '1 month'")}
                AND m.conversation_id = :id AND m.seq {reach} AND {IS_THERE} ORDER BY m.seq {order} LIMIT 1
        ) found
        WHERE k.conversation_id = :id AND k.user_id = (SELECT id FROM chat.users WHERE wallet_address = :by)
            AND c.id = :id AND o.conversation_id = :id AND {months}
    """)


NEAREST_BACK = nearest("max", "BETWEEN k.from_seq AND :seq", "DESC", "o.first_seq <= :seq")
NEAREST_ON = nearest("min", ">= :seq", "ASC", "(o.last_seq >= :seq OR o.month = c.month)")


@cache
def ids(month: date) -> tuple[UUID, UUID]:
    """The least id of a month, and of the one after it."""
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    after = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    return least_id(first), least_id(after)


def stretches(months: Iterable[date]) -> tuple[list[UUID], list[UUID]]:
    """The lower and upper bounds of the ids of months, in their order; months in a row are one stretch."""
    lowers, uppers = list[UUID](), list[UUID]()
    for lower, upper in map(ids, months):
        if uppers and uppers[-1] == lower:
            uppers[-1] = upper
        else:
            lowers.append(lower)
            uppers.append(upper)
    return lowers, uppers


def asking(ask: ListMessages) -> dict[str, Any]:
    """The values for where a page lies."""
    seq = None if ask.cursor is None else ask.cursor.seq
    return {"back": ask.is_back, "seq": seq, "limit": ask.limit, "id": ask.id, "by": ask.by}


async def page(db: Read, ask: ListMessages) -> Page | None:
    """Where the page lies that is asked for, or None where the caller is not in the conversation."""
    return await db.maybe(Page, PAGE, **asking(ask))


async def next_there(db: Read, ask: ListMessages, seq: int) -> int | None:
    """The nearest number, from this one on in the direction of reading, whose message is there; None where none is."""
    found: int | None = await db.value(NEAREST_BACK if ask.is_back else NEAREST_ON, id=ask.id, by=ask.by, seq=seq)
    return found


def reading(conversation: UUID, page: Page, *, short: bool = False) -> tuple[Query, dict[str, Any]]:
    """The statement that reads a page, and its values. It must be whole, and the message beyond it there too."""
    leads = (page.next_cursor or "").partition("~")[0]
    least, most = page.first - (leads == "before"), page.last + (leads == "after")
    given = {"id": conversation, "first": page.first, "last": page.last, "next_cursor": page.next_cursor}
    given |= {"least": least, "most": most, "wanted": 0 if short else most - least + 1}
    lowers, uppers = stretches(page.months)
    if len(lowers) == 1:
        return STRETCH, given | {"lower": lowers[0], "upper": uppers[0]}
    return STRETCHES, given | {"lowers": lowers, "uppers": uppers}


async def messages(db: Read, conversation: UUID, page: Page, *, short: bool = False) -> Json | None:
    """What lies there, as it is answered; None where it may lack messages or lead nowhere, if that is not known yet.

    `short` says that it is: then it is answered as it is.
    """
    query, given = reading(conversation, page, short=short)
    return await db.json(query, **given)
