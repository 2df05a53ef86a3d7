"""All SQL of identity: one function, one statement."""

from collections.abc import Collection
from datetime import datetime, timedelta

from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import Wallet

ADD_NONCE = Query("""
    INSERT INTO core.sign_in_nonces (nonce, wallet, issued_at, expires_at)
    VALUES (:nonce, :wallet, :issued_at, :expires_at)
""")
SPEND_NONCE = Query("""
    DELETE FROM core.sign_in_nonces WHERE nonce = :nonce AND wallet = :wallet RETURNING issued_at, expires_at > now()
""")
ADD_SESSION = Query("""
    INSERT INTO core.sessions (token_hash, wallet, expires_at)
    VALUES (:token_hash, :wallet, now() + :lifetime) RETURNING expires_at
""")
END_SESSION = Query("DELETE FROM core.sessions WHERE token_hash = :token_hash")
END_SESSIONS = Query("DELETE FROM core.sessions WHERE wallet = ANY(:wallets::text[]) RETURNING wallet")
PURGE_SESSIONS = Query("DELETE FROM core.sessions WHERE expires_at < now()")
PURGE_NONCES = Query("DELETE FROM core.sign_in_nonces WHERE expires_at < now()")


async def add_nonce(db: Write, nonce: str, wallet: Wallet, issued_at: datetime, expires_at: datetime) -> None:
    """Remembers a nonce that was given out."""
    await db.run(ADD_NONCE, nonce=nonce, wallet=wallet, issued_at=issued_at, expires_at=expires_at)


async def spend_nonce(db: Write, nonce: str, wallet: Wallet) -> bool:
    """Takes the nonce away, so that nobody can use it again; False where there is none, or it is too old."""
    rows = await db.rows(SPEND_NONCE, nonce=nonce, wallet=wallet)
    return bool(rows) and bool(rows[0][1])


async def add_session(db: Write, token_hash: bytes, wallet: Wallet, lifetime: timedelta) -> datetime:
    """When the new session ends."""
    ends: datetime = await db.value(ADD_SESSION, token_hash=token_hash, wallet=wallet, lifetime=lifetime)
    return ends


async def end_session(db: Write, token_hash: bytes) -> None:
    """Ends one session, if it is there."""
    await db.run(END_SESSION, token_hash=token_hash)


async def end_sessions(db: Write, wallets: Collection[Wallet]) -> set[Wallet]:
    """Ends every session of these wallets, and answers who had one."""
    return {Wallet(row[0]) for row in await db.rows(END_SESSIONS, wallets=list(wallets))}


async def purge(db: Write) -> None:
    """Forgets what has expired."""
    await db.run(PURGE_SESSIONS)
    await db.run(PURGE_NONCES)
