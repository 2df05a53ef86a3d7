"""SQL of messages. Who may read a trade may write in it: the order's condition stands in every statement."""

from typing import Any
from uuid import UUID

from entrepot.apps.escrow.calls.messages import ListMessages, Message, SendMessage
from entrepot.apps.escrow.store.orders import VISIBLE
from entrepot.kernel.db.answers import bounded, moment, page
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import paging

ADD = Query(f"""
    INSERT INTO escrow.messages (id, order_id, sender_wallet, ciphertext, nonce)
    SELECT :message, o.id, :by::text, :ciphertext, :nonce FROM escrow.orders o WHERE o.id = :id AND {VISIBLE}
    RETURNING id, sender_wallet, ciphertext, nonce, created_at
""")


def listing(*, later: bool) -> Query:
    """The statement for a page; no row where the caller may not read the trade."""
    beyond = "AND (m.created_at, m.id) < (:key, :last)" if later else ""
    rows = f"""SELECT m.id, m.sender_wallet, m.ciphertext, m.nonce, {moment("m.created_at")} AS created_at
    FROM escrow.messages m WHERE m.order_id = o.id {beyond}
    ORDER BY m.created_at DESC, m.id DESC"""
    made = page(bounded(rows), "newest", "created_at")
    return Query(f"SELECT ({made}) FROM escrow.orders o WHERE o.id = :id AND {VISIBLE}")


FIRST, LATER = listing(later=False), listing(later=True)


async def messages(db: Read, ask: ListMessages) -> Json | None:
    """A page of a trade's messages, or None where the caller may not read it."""
    given: dict[str, Any] = {"id": ask.id, "by": ask.by, "limit": ask.limit}
    if ask.cursor is None:
        return await db.json(FIRST, **given)
    key, last = ask.cursor.place("newest", paging.moment)
    return await db.json(LATER, key=key, last=last, **given)


async def add(db: Write, message: UUID, ask: SendMessage) -> Message | None:
    """The new message, or None where the caller may not write in the trade."""
    return await db.maybe(
        Message, ADD, message=message, id=ask.id, by=ask.by, ciphertext=ask.ciphertext, nonce=ask.nonce
    )
