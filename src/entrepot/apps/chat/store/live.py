"""SQL of the live stream: what somebody follows, and who hears what is said in passing."""

from uuid import UUID

import msgspec

from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

GROUPS = Query("""
    SELECT m.group_id FROM chat.group_members m JOIN chat.users u ON u.id = m.user_id WHERE u.wallet_address = :by
""")
AUDIENCE = Query("""
    SELECT (SELECT wallet_address FROM chat.users WHERE id = c.first_id + c.second_id - u.id) AS other_wallet
    FROM chat.users u JOIN chat.cursors k ON k.user_id = u.id AND k.conversation_id = :id
    JOIN chat.conversations c ON c.id = k.conversation_id AND NOT c.is_silent
    WHERE u.wallet_address = :by
""")


class Audience(msgspec.Struct, frozen=True):
    """Who hears somebody in a conversation: the other of a pair, or a group."""

    other_wallet: str | None


async def groups(db: Read, by: Wallet) -> list[UUID]:
    """The groups that somebody is in."""
    return [row[0] for row in await db.rows(GROUPS, by=by)]


async def audience(db: Read, conversation: UUID, by: Wallet) -> Audience | None:
    """Whom it would be told; None where the caller is not in that conversation, or nobody hears them."""
    return await db.maybe(Audience, AUDIENCE, id=conversation, by=by)
