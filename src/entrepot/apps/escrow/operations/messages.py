"""What can be done with the messages of a trade. The server keeps ciphertext and cannot open it."""

from typing import Annotated

from entrepot.apps.escrow.calls.messages import ListMessages, Message, MessagePage, SendMessage
from entrepot.apps.escrow.operations import live
from entrepot.apps.escrow.refusals import NoSuchOrder
from entrepot.apps.escrow.store import messages as store
from entrepot.kernel.db.doors import Fresh, Json, Write
from entrepot.kernel.values import new_id


async def list_messages(db: Fresh, ask: ListMessages) -> Annotated[Json, MessagePage]:
    """List the messages of a trade, newest first."""
    found = await store.messages(db, ask)
    if found is None:
        raise NoSuchOrder
    return found


async def send_message(db: Write, ask: SendMessage) -> Message:
    """Send the other side a message."""
    sent = await store.add(db, new_id(), ask)
    if sent is None:
        raise NoSuchOrder
    await live.tell_message(db, ask.id, sent)
    return sent
