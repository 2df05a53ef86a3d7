"""SQL of conversations of two."""

from uuid import UUID

import msgspec

from entrepot.apps.chat.store.blocks import silent
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

# The roster of a pair that has not written yet is what it begins with: how often the devices of the two have changed.
FIND = Query(f"""
    SELECT c.id, coalesce(c.roster, a.keys_version + b.keys_version) AS roster, {silent("a", "b")} AS is_silent
    FROM chat.users a JOIN chat.users b ON b.wallet_address = :other
    LEFT JOIN chat.conversations c ON c.first_id = least(a.id, b.id) AND c.second_id = greatest(a.id, b.id)
    WHERE a.wallet_address = :by
""")
# The two users were locked before, so that no device comes or goes, and no block, unseen by the new conversation.
MAKE = Query(f"""
    WITH two AS MATERIALIZED (
        SELECT id, wallet_address, keys_version FROM chat.users WHERE wallet_address IN (:by, :other)
    ), made AS (
        INSERT INTO chat.conversations (id, first_id, second_id, roster, is_silent)
        SELECT :id, a.id, b.id, a.keys_version + b.keys_version, {silent("a", "b")}
        FROM two a JOIN two b ON a.id < b.id
        ON CONFLICT (first_id, second_id) WHERE first_id IS NOT NULL DO UPDATE SET last_at = conversations.last_at
        RETURNING id
    ), entered AS (
        INSERT INTO chat.cursors (conversation_id, user_id) SELECT made.id, two.id FROM made, two ON CONFLICT DO NOTHING
    )
    SELECT id FROM made
""")


class Pair(msgspec.Struct, frozen=True):
    """Two users, and their conversation where there is one."""

    id: UUID | None
    roster: int
    is_silent: bool


async def find(db: Read, by: Wallet, other: Wallet) -> Pair | None:
    """The two; None where one of them is not known here."""
    return await db.maybe(Pair, FIND, by=by, other=other)


async def make(db: Write, conversation: UUID, by: Wallet, other: Wallet) -> UUID:
    """Their conversation, by the given id where there is none yet; to be called with both users locked."""
    made: UUID = await db.value(MAKE, id=conversation, by=by, other=other)
    return made
