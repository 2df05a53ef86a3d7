"""A wallet in the chat: writes, reads, follows, and is told whenever somebody's key is not what it was."""

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import TypeVar
from uuid import UUID

from eth_account.signers.local import LocalAccount

from entrepot.apps.chat.calls.conversations import (
    ChangeConversation,
    Conversation,
    CountUnread,
    MarkRead,
    ReadSoFar,
    Unread,
)
from entrepot.apps.chat.calls.live import TellTyping
from entrepot.apps.chat.calls.messages import Message, SendDirect, SendMessage, Sent
from entrepot.client.boxes import Boxes
from entrepot.client.chat.following import ChatEvent, Following, Seen
from entrepot.client.chat.groups import Groups
from entrepot.client.chat.keyring import Keyring
from entrepot.client.chat.keys import Keys
from entrepot.client.chat.letters import ChatLetter, Letters
from entrepot.client.chat.line import Line
from entrepot.client.chat.people import Blocks, Users
from entrepot.client.chat.rooms import Room, Rooms
from entrepot.client.chat.sealing import Plain, Sealed, seal_for_all, seal_for_one
from entrepot.client.failures import Refused
from entrepot.client.transport import Transport, asked
from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet

T = TypeVar("T")
LOOKS = 10
"""How often the readers are looked up anew for one message: in a group that many join, they may have changed again."""


class Chat:
    """The conversations of one wallet. `domain` is what wallets sign their keys for."""

    def __init__(self, transport: Transport, key: LocalAccount, boxes: Boxes, domain: str) -> None:
        self._transport, self._wallet, self._boxes = transport, Wallet(key.address), boxes
        ring = Keyring(transport, self._wallet, domain)
        self._rooms = Rooms(transport, self._wallet, ring)
        self._letters = Letters(transport, self._wallet, boxes, self._rooms, ring)
        self._following = Following(self._rooms, self._letters, ring)
        self.keys = Keys(transport, key, boxes, ring, domain)
        self.groups = Groups(transport, self._wallet)
        self.users, self.blocks = Users(transport, self._wallet), Blocks(transport, self._wallet)
        self._line: Line | None = None

    async def send(self, to: UUID | str, text: str, *, message_id: UUID | None = None) -> Sent:
        """To a wallet or into a conversation, sealed for who reads there now.

        Answers after the commit. Raises `UnacceptedKey` where somebody has another key than before, `NoKey`, `Refused`
        and `Unreachable`; after that one it may have been sent: the same `message_id` sends it once, however often.
        """
        message, place = message_id or new_id(), to if isinstance(to, UUID) else Wallet.parse(to)
        for _ in range(LOOKS - 1):
            try:
                return await self._send(await self._rooms.of(place), text, message, place)
            except Refused as refused:
                if refused.type != "stale-roster":
                    raise
        return await self._send(await self._rooms.of(place), text, message, place)

    async def _send(self, room: Room, text: str, message: UUID, to: UUID | Wallet) -> Sent:
        plain = Plain(id=message, sender=self._wallet, to=room.name, text=text)
        try:
            if room.other is None:
                sealed = seal_for_all(self._boxes, plain, room.readers.values())
            else:
                sealed = seal_for_one(self._boxes, plain, room.readers[room.other])
            sent = await self._post(room, message, sealed)
        except Refused:
            self._rooms.forget(room)
            raise
        self._rooms.begun(room, sent.conversation_id)
        return sent

    async def _post(self, room: Room, message: UUID, sealed: Sealed) -> Sent:
        given = {"message_id": message, "ciphertext": sealed.ciphertext, "nonce": sealed.nonce, "roster": room.roster}
        if room.id is None:
            direct = asked(SendDirect, by=self._wallet, wallet=room.other, **given)
            return await self._call("send_direct", "/chat/direct/{wallet}/messages", direct, Sent)
        ask = asked(SendMessage, by=self._wallet, id=room.id, **given)
        return await self._call("send", "/chat/conversations/{id}/messages", ask, Sent)

    def read(self, conversation: UUID, *, after: int | None = None) -> AsyncIterator[ChatLetter]:
        """All that this wallet may read there, the newest first; from `after` on it is the earliest first."""
        return self._letters.back(conversation) if after is None else self._letters.on(conversation, after)

    def follow(self, seen: Seen | None = None) -> AsyncGenerator[ChatEvent, None]:
        """What happens in all conversations, until the caller stops; calls go over the same connection meanwhile.

        It comes back by itself whenever it is lost, and every message is handed over once, in its order. `seen` is kept
        up with that; hand it back, in another process too, to go on where it ended. Without one it begins now.
        After `StartOver` whatever else is shown (receipts, groups, blocks) must be read anew; messages are complete.
        Close it (contextlib.aclosing). Raises `Refused`.
        """
        return self._following.events(seen or Seen(), self._hold)

    def _hold(self, after: str | None) -> Line:
        self._line = Line(self._transport, after)
        return self._line

    def conversations(self) -> AsyncIterator[Conversation]:
        """All of them, the one with the newest message first. Their `last_message` is as it was sealed."""
        return self._rooms.conversations()

    async def unread(self) -> Unread:
        """How much is unread."""
        return await self._transport.get("/chat/unread", CountUnread(by=self._wallet), Unread)

    async def mark(self, conversation: UUID, *, read: int = 0, delivered: int = 0) -> ReadSoFar:
        """Tells how far this wallet has read, or received."""
        ask = asked(MarkRead, by=self._wallet, id=conversation, read_seq=read, delivered_seq=delivered)
        return await self._call("read", "/chat/conversations/{id}/read", ask, ReadSoFar)

    async def typing(self, conversation: UUID) -> None:
        """Tells the others that this wallet is writing; to be told again every few seconds."""
        ask = TellTyping(by=self._wallet, id=conversation)
        await self._call("typing", "/chat/conversations/{id}/typing", ask, type(None))

    async def keep_for(self, conversation: UUID, seconds: int | None) -> Message:
        """After how long messages that are sent from now on disappear; None keeps them."""
        ask = asked(ChangeConversation, by=self._wallet, id=conversation, keeps_for=seconds)
        return await self._transport.command("PATCH", "/chat/conversations/{id}", ask, Message)

    async def _call(self, name: str, path: str, ask: Ask, answer: type[T]) -> T:
        """Over the stream while one is followed, or else by HTTP; either may be repeated."""
        return await self._transport.patiently(partial(self._call_once, name, path, ask, answer))

    async def _call_once(self, name: str, path: str, ask: Ask, answer: type[T]) -> T:
        if self._line is not None and not self._line.is_over:
            return await self._line.call(name, ask, answer)
        return await self._transport.command("POST", path, ask, answer, again=False)
