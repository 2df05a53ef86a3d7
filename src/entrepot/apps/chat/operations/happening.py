"""What happens to a conversation: an event with a number of its own, among the messages."""

from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.events import Event
from entrepot.apps.chat.calls.live import MessageSent
from entrepot.apps.chat.calls.messages import Message
from entrepot.apps.chat.operations.log import Log
from entrepot.apps.chat.operations.topics import letter
from entrepot.apps.chat.refusals import NoSuchConversation
from entrepot.apps.chat.store import sending as store
from entrepot.apps.chat.store.sending import Locked
from entrepot.kernel.db.doors import Write
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import publish


async def held(db: Write, conversation: UUID, by: Wallet) -> tuple[Locked, int]:
    """The conversation, locked, and the caller's id. Raises `NoSuchConversation`: not theirs, or silent by a block."""
    place = (await store.lock(db, [conversation])).get(conversation)
    known = (await store.facts(db, [(by, conversation, new_id())]))[0]
    if place is None or place.is_silent or not known.is_member or known.sender_id is None:
        raise NoSuchConversation
    return place, known.sender_id


async def happen(
    db: Write, place: Locked, by: Wallet, user: int, event: Event, *, changes_roster: bool = False
) -> tuple[Locked, Message]:
    """Notes it in a conversation that is locked, and tells everybody there; answers how the conversation is then."""
    log = Log({place.id: place})
    row = log.add(place, new_id(), user, event=event)
    roster = log.change_roster(place) if changes_roster else place.roster
    await log.write(db)
    message = Message(
        id=row.id,
        seq=row.seq,
        sender_wallet=by,
        event=msgspec.to_builtins(event, enc_hook=str),
        timestamp=row.timestamp,
        expires_at=row.expires_at,
    )
    sent = MessageSent(conversation_id=place.id, message=message, roster=roster)
    await publish(db, [letter(place, sent, row.expires_at)])
    return msgspec.structs.replace(place, last_seq=row.seq, roster=roster, month=row.month), message
