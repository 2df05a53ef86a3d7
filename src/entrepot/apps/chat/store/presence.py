"""SQL of presence: a row for each user and server process, which has a meaning while the process renews it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

# Answers how many of them were nowhere before.
ENTER = Query("""
    WITH here AS (SELECT id FROM chat.users WHERE wallet_address = ANY(:wallets::text[])),
    entered AS (
        INSERT INTO chat.presence (user_id, process) SELECT id, :process FROM here ORDER BY id
        ON CONFLICT (user_id, process) DO UPDATE SET seen_at = now()
    )
    SELECT count(*) FROM here WHERE NOT EXISTS (
        SELECT FROM chat.presence p WHERE p.user_id = here.id AND p.seen_at > now() - :stale::interval)
""")
LEAVE = Query("""
    WITH gone AS (
        DELETE FROM chat.presence p USING chat.users u
        WHERE u.wallet_address = :wallet AND p.user_id = u.id AND p.process = :process RETURNING p.user_id
    )
    SELECT NOT EXISTS (SELECT FROM chat.presence p, gone
        WHERE p.user_id = gone.user_id AND p.process <> :process AND p.seen_at > now() - :stale::interval)
""")
PEERS = Query("""
    SELECT o.wallet_address FROM chat.users u
    JOIN chat.cursors k ON k.user_id = u.id
    JOIN chat.conversations c ON c.id = k.conversation_id AND c.first_id IS NOT NULL AND NOT c.is_silent
    JOIN chat.users o ON o.id = c.first_id + c.second_id - u.id
    WHERE u.wallet_address = :wallet
        AND EXISTS (SELECT FROM chat.presence p WHERE p.user_id = o.id AND p.seen_at > now() - :stale::interval)
    ORDER BY c.last_at DESC LIMIT :most
""")
FORGET = Query("DELETE FROM chat.presence WHERE seen_at < now() - :stale::interval")


async def enter(db: Write, process: UUID, wallets: Sequence[Wallet], stale: timedelta) -> bool:
    """They are at this process; answers whether one of them was nowhere before."""
    return bool(await db.value(ENTER, process=process, wallets=list(wallets), stale=stale))


async def leave(db: Write, process: UUID, wallet: Wallet, stale: timedelta) -> bool:
    """They are no longer at this process; answers whether they are nowhere now."""
    return bool(await db.value(LEAVE, process=process, wallet=wallet, stale=stale))


async def peers(db: Read, wallet: Wallet, stale: timedelta, most: int) -> list[Wallet]:
    """Those whom this wallet has written with last and who are there now."""
    return [Wallet(row[0]) for row in await db.rows(PEERS, wallet=wallet, stale=stale, most=most)]


async def forget(db: Write, stale: timedelta) -> None:
    """Removes rows that nobody renews."""
    await db.run(FORGET, stale=stale)
