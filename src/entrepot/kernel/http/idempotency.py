"""Idempotency: key, input hash and answer of a command stand in the command's own transaction.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
from typing import Any

import msgspec

from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.http.call import JSON, Reply
from entrepot.kernel.http.problem import KeyReused
from entrepot.kernel.values import write_value
from entrepot.kernel.wallet import Wallet

CLAIM = Query("""
    INSERT INTO core.idempotency_keys (wallet, key, input_hash) VALUES (:wallet, :key, :input_hash)
    ON CONFLICT (wallet, key) DO NOTHING
""")
FIND = Query("SELECT input_hash, status, answer FROM core.idempotency_keys WHERE wallet = :wallet AND key = :key")
KEEP = Query("""
    UPDATE core.idempotency_keys SET status = :status, answer = :answer WHERE wallet = :wallet AND key = :key
""")
PURGE = Query("DELETE FROM core.idempotency_keys WHERE created_at < now() - interval '7 days'")


class Kept(msgspec.Struct, frozen=True):
    """A command that was carried out before."""

    input_hash: bytes
    status: int
    answer: bytes


def input_hash(route: str, given: dict[str, Any]) -> bytes:
    """SHA-256 of what is asked: the same command, whatever the order of its members."""
    asked = msgspec.json.encode(given, enc_hook=write_value, order="deterministic")
    return hashlib.sha256(route.encode() + b"\0" + asked).digest()


async def earlier(db: Write, wallet: Wallet, key: str, asked: bytes) -> Reply | None:
    """The answer that this key already has; None claims the key for this transaction.

    A second request with the same key waits here until the first has committed or rolled back.
    Raises `KeyReused` where the input was another.
    """
    if await db.run(CLAIM, wallet=wallet, key=key, input_hash=asked):
        return None
    kept = await db.one(Kept, FIND, wallet=wallet, key=key)
    if kept.input_hash != asked:
        raise KeyReused
    return Reply(kept.status, kept.answer, [JSON] if kept.answer else [])


async def keep(db: Write, wallet: Wallet, key: str, answer: Reply) -> None:
    """Stores the answer; a refusal is never stored, as its transaction is rolled back."""
    await db.run(KEEP, wallet=wallet, key=key, status=answer.status, answer=answer.body)


async def purge_keys(db: Write) -> None:
    """Forgets keys of over seven days ago."""
    await db.run(PURGE)
