"""Reading what was said."""

from dataclasses import replace
from typing import Annotated

import msgspec

from entrepot.apps.chat.calls.cursors import SeqCursor
from entrepot.apps.chat.calls.messages import ListMessages, MessagePage
from entrepot.apps.chat.refusals import NoSuchConversation
from entrepot.apps.chat.store import history as store
from entrepot.apps.chat.store.history import Page
from entrepot.kernel.db.doors import Fresh, Json


async def list_messages(db: Fresh, ask: ListMessages) -> Annotated[Json, MessagePage]:
    """List the messages of a conversation, from the newest back, or on from one."""
    page = await store.page(db, ask)
    if page is None:
        raise NoSuchConversation
    found = await store.messages(db, ask.id, page)
    if found is None:
        found = await store.messages(db, ask.id, await passing_over(db, ask, page), short=True)
    assert found is not None, "a page may be short"
    return found


async def passing_over(db: Fresh, ask: ListMessages, page: Page) -> Page:
    """The page that begins at the nearest message that is there, where some have disappeared or lie in an archive.

    It leads on only where there is another beyond it, so nobody turns empty pages through what has left.
    """
    begins = page.last if ask.is_back else page.first
    nearest = await store.next_there(db, ask, begins)
    if nearest is None:
        return Page(first=1, last=0, months=[], next_cursor=None)
    if nearest != begins:
        cursor = SeqCursor(f"before~{nearest + 1}" if ask.is_back else f"after~{nearest - 1}")
        found = await store.page(db, msgspec.structs.replace(ask, cursor=cursor))
        if found is None:
            raise NoSuchConversation
        page = found
    beyond = page.first - 1 if ask.is_back else page.last + 1
    if page.next_cursor is None or await store.next_there(db, ask, beyond) is not None:
        return page
    return replace(page, next_cursor=None)
