"""SQL of blocks: who wants to hear nothing of whom."""

from typing import Any

from entrepot.apps.chat.calls.blocks import ListBlocks
from entrepot.kernel.db.answers import moment
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet


def silent(one: str, other: str) -> str:
    """Whether one of two rows of users has blocked the other."""
    return f"""EXISTS (SELECT FROM chat.blocks WHERE (user_id, blocked_wallet)
        IN (({one}.id, {other}.wallet_address), ({other}.id, {one}.wallet_address)))"""


COUNT = Query("SELECT count(*) FROM chat.blocks WHERE user_id = :user AND blocked_wallet <> :wallet")
ADD = Query("INSERT INTO chat.blocks (user_id, blocked_wallet) VALUES (:user, :wallet) ON CONFLICT DO NOTHING")
REMOVE = Query("DELETE FROM chat.blocks WHERE user_id = :user AND blocked_wallet = :wallet")
SILENCE = Query(f"""
    UPDATE chat.conversations c SET is_silent = {silent("a", "b")}
    FROM chat.users a, chat.users b
    WHERE a.id = :user AND b.wallet_address = :wallet
        AND c.first_id = least(a.id, b.id) AND c.second_id = greatest(a.id, b.id)
        AND c.is_silent <> {silent("a", "b")}
""")


def listing(*, later: bool) -> Query:
    """The statement for a page. A wallet has a thousand at the most, so they are sorted for each."""
    beyond = "AND (created_at, blocked_wallet) < (:at, :last)" if later else ""
    return Query(f"""
        WITH page AS (
            SELECT blocked_wallet AS wallet_address, {moment("created_at")} AS created_at FROM chat.blocks
            WHERE user_id = (SELECT id FROM chat.users WHERE wallet_address = :by) {beyond}
            ORDER BY blocks.created_at DESC, blocked_wallet DESC LIMIT :limit
        )
        SELECT json_build_object('items', coalesce(json_agg(page), '[]'::json), 'next_cursor',
            CASE WHEN count(*) = :limit::bigint
                THEN 'newest~' || (array_agg(created_at || '~' || wallet_address))[:limit::bigint] END)
        FROM page
    """)


FIRST, LATER = listing(later=False), listing(later=True)


async def count(db: Read, user: int, besides: Wallet) -> int:
    """How many others they have blocked."""
    blocked: int = await db.value(COUNT, user=user, wallet=besides)
    return blocked


async def add(db: Write, user: int, wallet: Wallet) -> bool:
    """Blocks that wallet; False where it was blocked already."""
    return bool(await db.run(ADD, user=user, wallet=wallet))


async def remove(db: Write, user: int, wallet: Wallet) -> bool:
    """Takes that back; False where it was not blocked."""
    return bool(await db.run(REMOVE, user=user, wallet=wallet))


async def silence(db: Write, user: int, wallet: Wallet) -> None:
    """Makes their conversation as silent as their blocks say; to be called with both users locked."""
    await db.run(SILENCE, user=user, wallet=wallet)


async def blocked(db: Read, ask: ListBlocks) -> Json:
    """A page of the caller's blocks."""
    given: dict[str, Any] = {"by": ask.by, "limit": ask.limit}
    query = FIRST
    if ask.cursor is not None:
        query = LATER
        given["at"], given["last"] = ask.cursor.place
    found = await db.json(query, **given)
    assert found is not None
    return found
