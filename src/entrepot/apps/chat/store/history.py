"""SQL of what was said: a page is a range of numbers, read from the months that hold it and from no other."""

from entrepot.apps.chat.calls.messages import ListMessages
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read
from entrepot.kernel.db.query import Query

UTC_MONTH = "({month})::timestamp AT TIME ZONE 'UTC'"


def base64(column: str) -> str:
    """Octets as the interface carries them: in one line."""
    return f"replace(encode({column}, 'base64'), E'\\n', '')"


MESSAGE = f"""m.id, m.seq, (SELECT wallet_address FROM chat.users WHERE id = m.sender_id) AS sender_wallet,
    {base64("m.ciphertext")} AS ciphertext, {base64("m.nonce")} AS nonce, m.event,
    {moment("m.timestamp")} AS timestamp, {moment("m.expires_at")} AS expires_at"""
"""A message as it is answered, of the row `m`."""
# OFFSET 0 keeps the planner from reading all months first and joining them afterwards, as it does for small ones.
# A cursor from beyond either end is one at that end: no empty pages lead there.
PAGE = Query(f"""
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
    ), months AS MATERIALIZED (
        SELECT core.least_id({UTC_MONTH.format(month="o.month")}) AS lower,
            core.least_id({UTC_MONTH.format(month="o.month + interval '1 month'")}) AS upper
        FROM chat.conversation_months o, mine
        WHERE o.conversation_id = :id AND o.first_seq <= mine.last
            AND (o.last_seq >= mine.first OR o.month = mine.month)
    ), page AS (
        SELECT found.* FROM mine, months o, LATERAL (
            SELECT {MESSAGE} FROM chat.messages m
            WHERE m.id >= o.lower AND m.id < o.upper
                AND m.conversation_id = :id AND m.seq BETWEEN mine.first AND mine.last
                AND (m.expires_at IS NULL OR m.expires_at > now())
            OFFSET 0
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
