"""SQL of conversations of two."""

from datetime import datetime
from uuid import UUID

import msgspec

from entrepot.apps.chat.store.blocks import silent
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

# The roster of a pair that has not written yet is what it begins with: how often the devices of the two have changed.
FIND = Query(f"""
    SELECT c.id, coalesce(c.roster, a.keys_version + b.keys_version) AS roster, {silent("a", "b")} AS is_silent,
        now() AS now
    FROM chat.users a JOIN chat.users b ON b.wallet_address = :other
    LEFT JOIN chat.conversations c ON c.first_id = least(a.id, b.id) AND c.second_id = greatest(a.id, b.id)
    WHERE a.wallet_address = :by
""")
# The two users were locked before, so that no device comes or goes, and no block, unseen by the new conversation.
MAKE = Query("""
    WITH two AS MATERIALIZED (
        SELECT id, wallet_address, keys_version FROM chat.users WHERE wallet_address IN (:by, :other)
    ), made AS (
        INSERT INTO chat.conversations (id, first_id, second_id, roster)
        SELECT :id, a.id, b.id, a.keys_version + b.keys_version FROM two a JOIN two b ON a.id < b.id
    )
    INSERT INTO chat.cursors (conversation_id, user_id) SELECT :id, id FROM two
""")


class Pair(msgspec.Struct, frozen=True):
    """Two users, and their conversation where there is one."""

    id: UUID | None
    roster: int
    is_silent: bool
    now: datetime


async def find(db: Read, by: Wallet, other: Wallet) -> Pair | None:
    """The two; None where one of them is not known here."""
    return await db.maybe(Pair, FIND, by=by, other=other)


async def make(db: Write, conversation: UUID, by: Wallet, other: Wallet) -> None:
    """Their conversation, by that id; to be called with both users locked, where there is none and no block."""
    await db.run(MAKE, id=conversation, by=by, other=other)
