"""SQL of what follows when a wallet's keys change: the version, the log, and the roster of every conversation."""

from uuid import UUID

import msgspec

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

ENTER = Query("""
    INSERT INTO chat.key_log (user_id, device_id, event, version, key, signature, chain_id)
    VALUES (:user, :device, :event, :version, :key, :signature, :chain_id)
""")
# The last one that counts, if it was within the hour.
WAIT = Query("""
    SELECT ceil(extract(epoch FROM at + interval '1 hour' - now()))::int FROM chat.key_log WHERE user_id = :user
    ORDER BY id DESC OFFSET :most - 1 LIMIT 1
""")
RAISE = Query("UPDATE chat.users SET keys_version = keys_version + 1 WHERE id = :user RETURNING keys_version")
SET_KEY = Query("UPDATE chat.users SET public_key = :public_key WHERE id = :user")
# In the order of their ids, as whoever sends locks them.
ROSTERS = Query("""
    WITH theirs AS MATERIALIZED (
        SELECT c.id FROM chat.conversations c
        WHERE c.id IN (SELECT conversation_id FROM chat.cursors WHERE user_id = :user)
        ORDER BY c.id FOR NO KEY UPDATE OF c
    )
    UPDATE chat.conversations c SET roster = c.roster + 1 FROM theirs WHERE c.id = theirs.id
    RETURNING c.id, c.roster, c.is_silent, c.first_id IS NULL AS is_group,
        (SELECT wallet_address FROM chat.users WHERE id = c.first_id + c.second_id - :user) AS other_wallet
""")


class Place(msgspec.Struct, frozen=True):
    """A conversation with its new roster."""

    id: UUID
    roster: int
    is_silent: bool
    is_group: bool
    other_wallet: Wallet | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What comes into the log. The signature is the wallet's; of a prekey, the identity key's."""

    event: str
    device: UUID | None = None
    key: bytes | None = None
    signature: bytes | None = None
    chain_id: int | None = None


async def enter(db: Write, user: int, entry: Entry, version: int | None) -> None:
    """Notes it, for good."""
    await db.run(
        ENTER,
        user=user,
        device=entry.device,
        event=entry.event,
        version=version,
        key=entry.key,
        signature=entry.signature,
        chain_id=entry.chain_id,
    )


async def wait(db: Read, user: int, most: int) -> int:
    """The seconds until they have had fewer than so many entries in an hour; 0 or less where that is so now."""
    seconds: int | None = await db.value(WAIT, user=user, most=most)
    return seconds or 0


async def raise_version(db: Write, user: int) -> int:
    """The next version of a user's keys, who is locked."""
    version: int = await db.value(RAISE, user=user)
    return version


async def set_public_key(db: Write, user: int, public_key: str) -> None:
    """The NaCl key of a user, who is locked."""
    await db.run(SET_KEY, user=user, public_key=public_key)


async def raise_rosters(db: Write, user: int) -> list[Place]:
    """Every conversation of a user, who is locked, has another roster from now on."""
    return await db.all(Place, ROSTERS, user=user)
