"""Conversations of two: made with the first message."""

from uuid import UUID

from entrepot.apps.chat.refusals import NoSuchUser, StaleRoster
from entrepot.apps.chat.store import pairs as store
from entrepot.apps.chat.store import users
from entrepot.kernel.db.database import Database
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet


async def between(database: Database, by: Wallet, other: Wallet, roster: int) -> UUID:
    """The conversation of these two; made where there is none, unless its first message would be refused."""
    if by == other:
        raise Malformed("wallet", "is your own")
    async with database.read() as db:
        found = await store.find(db, by, other)
    if found is None or found.is_silent:
        raise NoSuchUser
    if found.id is not None:
        return found.id
    if roster != found.roster:
        raise StaleRoster(found.roster)
    async with database.write() as db:
        await users.lock(db, [by, other])
        return await store.make(db, new_id(), by, other)
