"""Messages that disappear: for how long a conversation keeps them, and that they then go."""

from entrepot.apps.chat.calls.conversations import ChangeConversation
from entrepot.apps.chat.calls.events import KeepsFor
from entrepot.apps.chat.calls.messages import Message
from entrepot.apps.chat.operations.happening import happen, held
from entrepot.apps.chat.refusals import NotForMembers
from entrepot.apps.chat.store import keeping as store
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write

AT_ONCE = 1_000


async def change_conversation(db: Write, ask: ChangeConversation) -> Message:
    """Say for how long a conversation keeps the messages that are sent from now on; in a group its admins do."""
    place, user = await held(db, ask.id, ask.by)
    if not await store.may_change(db, ask.id, user):
        raise NotForMembers
    await store.keep_for(db, ask.id, ask.keeps_for)
    _, message = await happen(db, place, ask.by, user, KeepsFor(seconds=ask.keeps_for))
    return message


async def sweep(database: Database) -> None:
    """Empties what has disappeared, and removes it once it can no longer be sent again; a part at a time."""
    for step in (store.empty, store.remove, store.remove_events):
        done = AT_ONCE
        while done == AT_ONCE:
            async with database.write() as db:
                done = await step(db, AT_ONCE)
