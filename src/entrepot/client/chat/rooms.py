"""Conversations as a sender must know them: whether of two or of a group, of which roster, and who reads."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import UUID

from entrepot.apps.chat.calls.conversations import Conversation, ConversationPage, ListConversations
from entrepot.apps.chat.calls.keys import DevicePage, GetUserKeys, ListDevices, UserKeys
from entrepot.client.chat.keyring import Keyring
from entrepot.client.failures import NoKey
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet


@dataclass(frozen=True)
class Room:
    """Of one moment. `other` is who it is with, None in a group; `id` is None before the first message."""

    id: UUID | None
    other: Wallet | None
    roster: int
    readers: dict[Wallet, PublicKey]

    @property
    def name(self) -> str:
        """What a message in it says that it is for."""
        return str(self.other or self.id)


class Rooms:
    """Those of one wallet. What was looked up is kept until the server tells of another roster."""

    def __init__(self, transport: Transport, wallet: Wallet, ring: Keyring) -> None:
        self._transport, self._wallet, self._ring = transport, wallet, ring
        self._others: dict[UUID, Wallet | None] = {}
        self._rooms: dict[UUID | Wallet, Room] = {}

    async def conversations(self) -> AsyncIterator[Conversation]:
        """All of them, the one with the newest message first."""
        ask = asked(ListConversations, by=self._wallet, limit=PAGE)
        async for each in self._transport.every("/chat/conversations", ask, ConversationPage):
            self._others[each.id] = each.other_wallet
            yield each

    async def other(self, conversation: UUID) -> Wallet | None:
        """Who it is with; None of a group, and of one that is not ours."""
        if conversation not in self._others:
            async for each in self.conversations():
                if each.id == conversation:
                    break
        return self._others.get(conversation)

    async def of(self, to: UUID | Wallet) -> Room:
        """A conversation, or the one with a wallet. Raises `Refused`, `NoKey` and `UnacceptedKey`."""
        place: UUID | Wallet = (await self.other(to) or to) if isinstance(to, UUID) else to
        if place not in self._rooms:
            self._rooms[place] = await (self._group(place) if isinstance(place, UUID) else self._pair(place))
        return self._rooms[place]

    def forget(self, room: Room) -> None:
        """It has changed."""
        self._rooms.pop(room.other or room.id or self._wallet, None)

    def note(self, conversation: UUID, roster: int) -> None:
        """The server has told of its roster."""
        room = self._rooms.get(self._others.get(conversation) or conversation)
        if room is not None and room.roster != roster:
            self.forget(room)

    def begun(self, room: Room, conversation: UUID) -> None:
        """The first message has made it."""
        if room.id is None and room.other is not None:
            self._others[conversation] = room.other
            self._rooms[room.other] = replace(room, id=conversation)

    async def _pair(self, other: Wallet) -> Room:
        ask = asked(GetUserKeys, by=self._wallet, wallet=other)
        found = await self._transport.get("/chat/users/{wallet}/keys", ask, UserKeys)
        readers = await self._ring.to_write({other: found.public_key})
        if not readers:
            raise NoKey(f"{other} has never signed in with a key that could be sealed to")
        if found.conversation_id is not None:
            self._others[found.conversation_id] = other
        return Room(found.conversation_id, other, found.roster or 0, readers)

    async def _group(self, group: UUID) -> Room:
        """All pages of one roster: what changes between two pages has them read anew."""
        offered: dict[Wallet, PublicKey | None] = {}
        roster, cursor = -1, None
        while True:
            ask = asked(ListDevices, by=self._wallet, id=group, limit=PAGE, cursor=cursor)
            page = await self._transport.get("/chat/conversations/{id}/devices", ask, DevicePage)
            if page.roster != roster and cursor is not None:
                offered, roster, cursor = {}, -1, None
                continue
            roster, cursor = page.roster, page.next_cursor
            offered |= {each.wallet_address: each.public_key for each in page.items}
            if cursor is None:
                offered.pop(self._wallet, None)
                return Room(group, None, roster, await self._ring.to_write(offered))
