"""Sending: whatever the sockets and requests of a process send meanwhile shares one transaction."""

from collections.abc import Sequence
from uuid import UUID

from entrepot.apps.chat.calls.live import MessageSent
from entrepot.apps.chat.calls.messages import Message, SendDirect, SendMessage, Sent
from entrepot.apps.chat.operations import pairs
from entrepot.apps.chat.operations.log import Log, refused_id
from entrepot.apps.chat.operations.topics import letter
from entrepot.apps.chat.refusals import MessageIdTaken, NoSuchConversation, StaleRoster
from entrepot.apps.chat.store import sending as store
from entrepot.apps.chat.store.sending import Facts, Locked, Row
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.gather import Gather
from entrepot.kernel.http.limits import Limit
from entrepot.kernel.refusal import Refusal
from entrepot.kernel.settings import Settings
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import Letter, publish


class Outgoing:
    """What this process is about to send, and how much each wallet has sent."""

    def __init__(self) -> None:
        self.gather: Gather[SendMessage, Sent] = Gather(say)
        self.limit: Limit | None = None

    def count(self, wallet: Wallet, settings: Settings) -> None:
        """Raises `TooMany`."""
        if self.limit is None:
            self.limit = Limit(60 * settings.messages_per_second)
        self.limit.count(wallet)


async def send_message(database: Database, ask: SendMessage, outgoing: Outgoing, settings: Settings) -> Sent:
    """Send a message into a conversation of yours."""
    outgoing.count(ask.by, settings)
    return await outgoing.gather.ask(database, ask)


async def send_direct(database: Database, ask: SendDirect, outgoing: Outgoing, settings: Settings) -> Sent:
    """Send a message to a wallet, which begins your conversation where there is none."""
    outgoing.count(ask.by, settings)
    conversation = await pairs.between(database, ask)
    message = SendMessage(
        by=ask.by,
        id=conversation,
        message_id=ask.message_id,
        ciphertext=ask.ciphertext,
        nonce=ask.nonce,
        roster=ask.roster,
    )
    return await outgoing.gather.ask(database, message)


async def say(db: Write, asks: Sequence[SendMessage]) -> Sequence[Sent | Refusal]:
    """All of these messages, each in its place or refused; the same again for whatever was sent before."""
    log = Log(await store.lock(db, [ask.id for ask in asks]))
    facts = await store.facts(db, [(ask.by, ask.id, ask.message_id) for ask in asks])
    letters: list[Letter] = []
    said: dict[UUID, tuple[SendMessage, Sent]] = {}
    results: list[Sent | Refusal] = []
    for ask, known in zip(asks, facts, strict=True):
        place = log.places.get(ask.id)
        result = _earlier(ask, known, said) or _refused(ask, known, place)
        if result is None:
            assert place is not None
            assert known.sender_id is not None
            nonce = None if ask.nonce is None else ask.nonce.raw
            row = log.add(place, ask.message_id, known.sender_id, ciphertext=ask.ciphertext.raw, nonce=nonce)
            letters.append(letter(place, told(place, row, ask), row.expires_at))
            result = Sent(row.id, place.id, row.seq, row.timestamp)
            said[row.id] = ask, result
        results.append(result)
    await log.write(db)
    await publish(db, letters)
    return results


def _earlier(ask: SendMessage, known: Facts, said: dict[UUID, tuple[SendMessage, Sent]]) -> Sent | Refusal | None:
    """What came of it when it was sent before, if it was."""
    if ask.message_id in said:
        first, result = said[ask.message_id]
        return result if (first.by, first.id) == (ask.by, ask.id) else MessageIdTaken()
    if known.seq is None or known.timestamp is None:
        return None
    if not known.is_member:
        return NoSuchConversation()
    if (known.sent_by, known.conversation_id) != (known.sender_id, ask.id):
        return MessageIdTaken()
    return Sent(ask.message_id, ask.id, known.seq, known.timestamp)


def _refused(ask: SendMessage, known: Facts, place: Locked | None) -> Refusal | None:
    if place is None or not known.is_member or place.is_silent:
        return NoSuchConversation()
    if (wrong := refused_id(ask.message_id, place.now)) is not None:
        return wrong
    return None if ask.roster == place.roster else StaleRoster(place.roster)


def told(place: Locked, row: Row, ask: SendMessage) -> MessageSent:
    """As everybody in the conversation is told of it."""
    message = Message(
        id=row.id,
        seq=row.seq,
        sender_wallet=ask.by,
        ciphertext=ask.ciphertext,
        nonce=ask.nonce,
        timestamp=row.timestamp,
        expires_at=row.expires_at,
    )
    return MessageSent(conversation_id=place.id, message=message, roster=place.roster)
