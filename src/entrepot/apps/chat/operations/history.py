"""Reading what was said."""

from typing import Annotated

from entrepot.apps.chat.calls.messages import ListMessages, MessagePage
from entrepot.apps.chat.refusals import NoSuchConversation
from entrepot.apps.chat.store import history as store
from entrepot.kernel.db.doors import Fresh, Json


async def list_messages(db: Fresh, ask: ListMessages) -> Annotated[Json, MessagePage]:
    """List the messages of a conversation, from the newest back, or on from one."""
    page = await store.page(db, ask)
    if page is None:
        raise NoSuchConversation
    return await store.messages(db, ask.id, page)
