"""What can be done with conversations as such."""

from typing import Annotated

from entrepot.apps.chat.calls.conversations import ConversationPage, CountUnread, ListConversations, Unread
from entrepot.apps.chat.store import conversations as store
from entrepot.kernel.db.doors import Fresh, Json


async def list_conversations(db: Fresh, ask: ListConversations) -> Annotated[Json, ConversationPage]:
    """List your conversations with their last messages and how much of each is unread."""
    return await store.conversations(db, ask)


async def count_unread(db: Fresh, ask: CountUnread) -> Annotated[Json, Unread]:
    """Count what you have not read."""
    return await store.unread(db, ask)
