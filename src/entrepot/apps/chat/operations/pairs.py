"""Conversations of two: made with the first message."""

from uuid import UUID

from entrepot.apps.chat.calls.messages import SendDirect
from entrepot.apps.chat.operations.log import refused_id
from entrepot.apps.chat.refusals import MessageIdTaken, NoSuchUser, StaleRoster
from entrepot.apps.chat.store import pairs as store
from entrepot.apps.chat.store import sending, users
from entrepot.apps.chat.store.pairs import Pair
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import new_id


async def between(database: Database, ask: SendDirect) -> UUID:
    """The conversation of these two; made where there is none, unless its first message would be refused."""
    if ask.by == ask.wallet:
        raise Malformed("wallet", "is your own")
    async with database.read() as db:
        found = await _find(db, ask)
    if found.id is not None:
        return found.id
    async with database.write() as db:
        await users.lock(db, [ask.by, ask.wallet])
        # Again: another may have been first, and keys may have changed, or a block come, while the lock was waited for.
        found = await _find(db, ask)
        return found.id or await _begin(db, ask)


async def _find(db: Read, ask: SendDirect) -> Pair:
    found = await store.find(db, ask.by, ask.wallet)
    if found is None or found.is_silent:
        raise NoSuchUser
    if found.id is None:
        if (wrong := refused_id(ask.message_id, found.now)) is not None:
            raise wrong
        if ask.roster != found.roster:
            raise StaleRoster(found.roster)
    return found


async def _begin(db: Write, ask: SendDirect) -> UUID:
    made = new_id()
    (known,) = await sending.facts(db, [(ask.by, made, ask.message_id)])
    if known.seq is not None:
        raise MessageIdTaken
    await store.make(db, made, ask.by, ask.wallet)
    return made
