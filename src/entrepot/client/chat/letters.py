"""Messages that were opened, and the history that they are read from."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.events import Gone, Joined, KeepsFor, Renamed, RoleGiven
from entrepot.apps.chat.calls.messages import ListMessages, Message, MessagePage
from entrepot.client.boxes import Boxes
from entrepot.client.chat.keyring import Keyring
from entrepot.client.chat.rooms import Rooms
from entrepot.client.chat.sealing import Sealed, open_from_all, open_from_one
from entrepot.client.messages import Letter
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.values import read_value
from entrepot.kernel.wallet import Wallet

Happening = KeepsFor | Joined | Gone | Renamed | RoleGiven


@dataclass(frozen=True)
class ChatLetter(Letter):
    """A message of a conversation; its `text` is None too where it is not what its sender sealed, or is an event."""

    conversation: UUID
    seq: int
    """Its number in the conversation: from 1, without gaps."""
    event: Happening | None
    expires_at: datetime | None


class Letters:
    """What one wallet may read."""

    def __init__(self, transport: Transport, wallet: Wallet, boxes: Boxes, rooms: Rooms, ring: Keyring) -> None:
        self._transport, self._wallet, self._boxes, self._rooms, self._ring = transport, wallet, boxes, rooms, ring

    async def opened(self, conversation: UUID, message: Message) -> ChatLetter:
        """A message, as far as this wallet can read it with the keys that it trusts."""
        return ChatLetter(
            id=message.id,
            sender=message.sender_wallet,
            text=await self._text(conversation, message),
            at=message.timestamp,
            conversation=conversation,
            seq=message.seq,
            event=_event(message),
            expires_at=message.expires_at,
        )

    async def back(self, conversation: UUID) -> AsyncIterator[ChatLetter]:
        """All of a conversation, the newest first."""
        async for page in self._pages(conversation, None):
            for message in reversed(page):
                yield await self.opened(conversation, message)

    async def on(self, conversation: UUID, after: int) -> AsyncIterator[ChatLetter]:
        """What came after that number, the earliest first."""
        async for page in self._pages(conversation, f"after~{after}"):
            for message in page:
                yield await self.opened(conversation, message)

    def _pages(self, conversation: UUID, cursor: str | None) -> AsyncIterator[Sequence[Message]]:
        ask = asked(ListMessages, by=self._wallet, id=conversation, cursor=cursor, limit=PAGE)
        return self._transport.pages("/chat/conversations/{id}/messages", ask, MessagePage)

    async def _text(self, conversation: UUID, message: Message) -> str | None:
        """What it says, if it was sealed by its sender, as this very message, for this very conversation."""
        if message.ciphertext is None or message.nonce is None:
            return None
        sealed, other = Sealed(message.ciphertext, message.nonce), await self._rooms.other(conversation)
        is_own = message.sender_wallet == self._wallet
        if other is None:
            keys = [self._boxes.public_key] if is_own else await self._ring.to_read(message.sender_wallet)
            plain, to = open_from_all(self._boxes, sealed, keys), str(conversation)
        else:
            plain = open_from_one(self._boxes, sealed, await self._ring.to_read(other))
            to = other if is_own else self._wallet
        if plain is None or (plain.id, plain.sender, plain.to) != (message.id, message.sender_wallet, to):
            return None
        return plain.text


def _event(message: Message) -> Happening | None:
    """What happened; None for a message, and for an event of a kind that this client does not know yet."""
    try:
        return None if message.event is None else msgspec.convert(message.event, Happening, dec_hook=read_value)
    except msgspec.ValidationError:
        return None
