"""SQL of receipts: how far each has received and read, and the statuses that follow from it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.conversations import MarkRead
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
SETTLE = Query("""
    WITH due AS MATERIALIZED (
        SELECT k.conversation_id, k.user_id, k.read_seq, k.delivered_seq FROM chat.cursors k
        WHERE k.is_unsettled LIMIT :most FOR NO KEY UPDATE OF k SKIP LOCKED
    ), settled AS (
        UPDATE chat.cursors k SET is_unsettled = false FROM due
        WHERE (k.conversation_id, k.user_id) = (due.conversation_id, due.user_id)
    ), moved AS (
        UPDATE chat.messages m SET status = CASE WHEN m.seq <= due.read_seq THEN 'read' ELSE 'delivered' END
        FROM due WHERE m.receiver_id = due.user_id AND m.conversation_id = due.conversation_id
            AND m.status <> 'read' AND m.seq <= due.delivered_seq AND (m.status = 'sent' OR m.seq <= due.read_seq)
    )
    SELECT count(*) FROM due
""")


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


async def settle(db: Write, most: int) -> int:
    """Sets the statuses of messages in so many conversations whose cursors have moved; answers how many they were."""
    settled: int = await db.value(SETTLE, most=most)
    return settled
