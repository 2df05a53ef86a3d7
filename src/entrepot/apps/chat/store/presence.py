"""SQL of presence: a row for each user and server process, which has a meaning while the process renews it."""

from collections.abc import Sequence
from uuid import UUID

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

FRESH = "now() - interval '2 minutes'"
"""Since when a process must have renewed a row; its beats come more often."""


def present(user: str) -> str:
    """Whether a user is there, by the column that names them."""
    return f"EXISTS (SELECT FROM chat.presence p WHERE p.user_id = {user} AND p.seen_at > {FRESH})"


# Answers how many of them were nowhere before.
ENTER = Query(f"""
    WITH here AS (SELECT id FROM chat.users WHERE wallet_address = ANY(:wallets::text[])),
    entered AS (
        INSERT INTO chat.presence (user_id, process) SELECT id, :process FROM here ORDER BY id
        ON CONFLICT (user_id, process) DO UPDATE SET seen_at = now()
    )
    SELECT count(*) FROM here WHERE NOT {present("here.id")}
""")
LEAVE = Query(f"""
    WITH gone AS (
        DELETE FROM chat.presence p USING chat.users u
        WHERE u.wallet_address = :wallet AND p.user_id = u.id AND p.process = :process RETURNING p.user_id
    )
    SELECT NOT EXISTS (SELECT FROM chat.presence p, gone
        WHERE p.user_id = gone.user_id AND p.process <> :process AND p.seen_at > {FRESH})
""")
PEERS = Query(f"""
    SELECT o.wallet_address FROM chat.users u
    JOIN chat.cursors k ON k.user_id = u.id
    JOIN chat.conversations c ON c.id = k.conversation_id AND c.first_id IS NOT NULL AND NOT c.is_silent
    JOIN chat.users o ON o.id = c.first_id + c.second_id - u.id
    WHERE u.wallet_address = :wallet AND {present("o.id")}
    ORDER BY c.last_at DESC LIMIT :most
""")
FORGET = Query(f"DELETE FROM chat.presence WHERE seen_at < {FRESH}")


async def enter(db: Write, process: UUID, wallets: Sequence[Wallet]) -> bool:
    """They are at this process; answers whether one of them was nowhere before."""
    return bool(await db.value(ENTER, process=process, wallets=list(wallets)))


async def leave(db: Write, process: UUID, wallet: Wallet) -> bool:
    """They are no longer at this process; answers whether they are nowhere now."""
    return bool(await db.value(LEAVE, process=process, wallet=wallet))


async def peers(db: Read, wallet: Wallet, most: int) -> list[Wallet]:
    """Those whom this wallet has written with last and who are there now."""
    return [Wallet(row[0]) for row in await db.rows(PEERS, wallet=wallet, most=most)]


async def forget(db: Write) -> None:
    """Removes rows that nobody renews."""
    await db.run(FORGET)
