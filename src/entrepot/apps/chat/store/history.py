"""SQL of what was said: a page is a range of numbers, read from the months that hold it and from no other."""

from entrepot.apps.chat.calls.messages import ListMessages
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read
from entrepot.kernel.db.query import Query

UTC_MONTH = "({month})::timestamp AT TIME ZONE 'UTC'"


def base64(column: str) -> str:
    """Octets as the interface carries them: in one line."""
    return f"translate(encode({column}, 'base64'), E'\\n', '')"


MESSAGE = f"""m.id, m.seq, (SELECT wallet_address FROM chat.users WHERE id = m.sender_id) AS sender_wallet,
    {base64("m.ciphertext")} AS ciphertext, {base64("m.nonce")} AS nonce, m.event,
    {moment("m.timestamp")} AS timestamp, {moment("m.expires_at")} AS expires_at"""
"""A message as it is answered, of the row `m`."""
PAGE = Query(f"""
    WITH mine AS MATERIALIZED (
        SELECT c.month, greatest(k.from_seq, CASE WHEN :back THEN coalesce(:seq, c.last_seq + 1) - :limit::bigint
                ELSE :seq + 1 END) AS first,
            least(c.last_seq, CASE WHEN :back THEN coalesce(:seq::bigint, c.last_seq + 1) - 1
                ELSE :seq + :limit::bigint END) AS last,
            CASE WHEN :back THEN k.from_seq ELSE c.last_seq END AS edge
        FROM chat.cursors k JOIN chat.conversations c ON c.id = k.conversation_id
        WHERE k.conversation_id = :id AND k.user_id = (SELECT id FROM chat.users WHERE wallet_address = :by)
    ), months AS MATERIALIZED (
        SELECT o.month FROM chat.conversation_months o, mine
        WHERE o.conversation_id = :id AND o.first_seq <= mine.last
            AND (o.last_seq >= mine.first OR o.month = mine.month)
    ), page AS (
        SELECT found.* FROM mine, months o, LATERAL (
            SELECT {MESSAGE} FROM chat.messages m
            WHERE m.id >= core.least_id({UTC_MONTH.format(month="o.month")})
                AND m.id < core.least_id({UTC_MONTH.format(month="o.month + interval '1 month'")})
                AND m.conversation_id = :id AND m.seq BETWEEN mine.first AND mine.last
                AND (m.expires_at IS NULL OR m.expires_at > now())
        ) found
    )
    SELECT json_build_object(
        'items', coalesce((SELECT json_agg(page ORDER BY page.seq) FROM page), '[]'::json),
        'next_cursor', CASE WHEN :back AND mine.first > mine.edge THEN 'before~' || mine.first
            WHEN NOT :back AND mine.last < mine.edge THEN 'after~' || mine.last END)
    FROM mine
""")


async def messages(db: Read, ask: ListMessages) -> Json | None:
    """A page of a conversation, or None where the caller is not in it."""
    is_back = ask.cursor is None or ask.cursor.is_back
    seq = None if ask.cursor is None else ask.cursor.seq
    return await db.json(PAGE, back=is_back, seq=seq, limit=ask.limit, id=ask.id, by=ask.by)
