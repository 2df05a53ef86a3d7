"""SQL of the list of conversations. What is unread in them the cursors tell; no message is counted."""

from typing import Any

from entrepot.apps.chat.calls.conversations import CountUnread, ListConversations
from entrepot.apps.chat.store.history import MESSAGE
from entrepot.apps.chat.store.presence import present
from entrepot.kernel.db.answers import bounded, moment, page
from entrepot.kernel.db.doors import Json, Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import paging

ME = "(SELECT id FROM chat.users WHERE wallet_address = :by)"
UNREAD = "greatest(c.last_seq - greatest(k.read_seq, k.from_seq - 1), 0)"


def listing(*, later: bool) -> Query:
    """The statement for a page. What is shown of each is looked up for the rows of the page alone."""
    beyond = "AND (c.last_at, c.id) < (:key, :last)" if later else ""
    chosen = bounded(f"""SELECT c.*, k.from_seq, k.read_seq, k.delivered_seq, k.user_id, {UNREAD} AS unread
        FROM chat.cursors k JOIN chat.conversations c ON c.id = k.conversation_id
        WHERE k.user_id = {ME} {beyond} ORDER BY c.last_at DESC, c.id DESC""")
    rows = f"""SELECT c.id,
        (SELECT wallet_address FROM chat.users WHERE id = c.first_id + c.second_id - c.user_id) AS other_wallet,
        (SELECT name FROM chat.groups WHERE id = c.id) AS group_name,
        CASE WHEN c.is_silent THEN 0 ELSE c.roster END AS roster,
        c.from_seq AS first_seq, c.last_seq, c.read_seq, c.delivered_seq, c.unread,
        o.read_seq AS other_read_seq, o.delivered_seq AS other_delivered_seq,
        CASE WHEN o.user_id IS NOT NULL THEN {present("o.user_id")} END AS is_online, c.keeps_for,
        (SELECT row_to_json(said) FROM (
            SELECT {MESSAGE} FROM chat.messages m WHERE m.id = c.last_id AND c.last_seq >= c.from_seq
                AND (m.expires_at IS NULL OR m.expires_at > now())
        ) said) AS last_message,
        {moment("c.last_at")} AS last_at
    FROM ({chosen}) c
    LEFT JOIN chat.cursors o ON o.conversation_id = c.id AND o.user_id = c.first_id + c.second_id - c.user_id
        AND NOT c.is_silent
    ORDER BY c.last_at DESC, c.id DESC"""
    return Query(page(rows, "newest", "last_at"))


FIRST, LATER = listing(later=False), listing(later=True)
COUNT = Query(f"""
    SELECT json_build_object('messages', coalesce(sum({UNREAD}), 0)::bigint,
        'conversations', count(*) FILTER (WHERE {UNREAD} > 0))
    FROM chat.cursors k JOIN chat.conversations c ON c.id = k.conversation_id WHERE k.user_id = {ME}
""")


async def conversations(db: Read, ask: ListConversations) -> Json:
    """A page of the caller's conversations."""
    given: dict[str, Any] = {"by": ask.by, "limit": ask.limit}
    query = FIRST
    if ask.cursor is not None:
        query = LATER
        given["key"], given["last"] = ask.cursor.place("newest", paging.moment)
    found = await db.json(query, **given)
    assert found is not None
    return found


async def unread(db: Read, ask: CountUnread) -> Json:
    """How much is unread."""
    found = await db.json(COUNT, by=ask.by)
    assert found is not None
    return found
