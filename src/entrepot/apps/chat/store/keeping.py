"""SQL of messages that disappear."""

from uuid import UUID

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query

MAY_CHANGE = Query("""
    SELECT coalesce((SELECT role FROM chat.group_members WHERE group_id = :conversation AND user_id = :user), 'admin')
        IN ('owner', 'admin')
""")
KEEP_FOR = Query("UPDATE chat.conversations SET keeps_for = :seconds::integer WHERE id = :conversation")
# Emptied at once; the row stays until its id can no longer be sent as a new one's. Each statement has an index of just
# the rows that it takes, so that none passes over what waits for another.
EMPTY = Query("""
    UPDATE chat.messages SET ciphertext = '', nonce = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM chat.messages WHERE expires_at <= now() AND octet_length(ciphertext) > 0
        LIMIT :most FOR UPDATE SKIP LOCKED
    ))
""")
REMOVE = Query("""
    DELETE FROM chat.messages WHERE id = ANY(ARRAY(
        SELECT id FROM chat.messages
        WHERE octet_length(ciphertext) = 0 AND id < core.least_id(now() - interval '25 hours')
        LIMIT :most FOR UPDATE SKIP LOCKED
    ))
""")
REMOVE_EVENTS = Query("""
    DELETE FROM chat.messages WHERE id = ANY(ARRAY(
        SELECT id FROM chat.messages WHERE expires_at <= now() AND event IS NOT NULL
        LIMIT :most FOR UPDATE SKIP LOCKED
    ))
""")


async def may_change(db: Read, conversation: UUID, user: int) -> bool:
    """Whether somebody in a conversation may say how it is kept: either of a pair, and who leads a group."""
    return bool(await db.value(MAY_CHANGE, conversation=conversation, user=user))


async def keep_for(db: Write, conversation: UUID, seconds: int | None) -> None:
    """From now on; None keeps them."""
    await db.run(KEEP_FOR, conversation=conversation, seconds=seconds)


async def empty(db: Write, most: int) -> int:
    """Empties so many messages whose time is over; answers how many they were."""
    return await db.run(EMPTY, most=most)


async def remove(db: Write, most: int) -> int:
    """Removes so many that are empty and whose ids nobody can send again; answers how many they were."""
    return await db.run(REMOVE, most=most)


async def remove_events(db: Write, most: int) -> int:
    """Removes so many events whose time is over, which nobody sends again; answers how many they were."""
    return await db.run(REMOVE_EVENTS, most=most)
