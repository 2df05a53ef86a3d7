"""Following the chat: every message once and in its order, whatever breaks between the server and this client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.live import KeysChanged, MessageSent
from entrepot.client.chat.keyring import KeyChanged, Keyring
from entrepot.client.chat.letters import ChatLetter, Letters
from entrepot.client.chat.line import ChatFrame, Line
from entrepot.client.chat.rooms import Rooms
from entrepot.client.failures import Refused
from entrepot.client.live import Anything
from entrepot.kernel import clock
from entrepot.kernel.http.frames import Beat, Ready, StartOver

ChatEvent = Ready | StartOver | ChatLetter | KeyChanged | ChatFrame
"""What is handed over. Of the frames, those of messages come opened, as `ChatLetter`."""


class Seen(msgspec.Struct):
    """How far a device has been told. Keep it where the messages are kept, and hand it back to go on from there."""

    cursor: str = ""
    seqs: dict[UUID, int] = msgspec.field(default_factory=dict)
    """The last message of each conversation, for when the server no longer keeps what came after the cursor."""


class Following:
    """What one wallet hears."""

    def __init__(self, rooms: Rooms, letters: Letters, ring: Keyring) -> None:
        self._rooms, self._letters, self._ring = rooms, letters, ring

    async def events(self, seen: Seen, hold: Callable[[str | None], Line]) -> AsyncGenerator[ChatEvent, None]:
        """Until the caller stops; `seen` is kept up with what is handed over. `hold` makes the line."""
        if not seen.cursor and not seen.seqs:
            await self._begin(seen)
        line = hold(seen.cursor or None)
        task = asyncio.create_task(line.keep())
        try:
            is_first = True
            while True:
                frame = await line.told()
                if isinstance(frame, Ready) and not is_first:
                    continue
                is_first = False
                async with aclosing(self._events(frame, seen)) as events:
                    async for event in events:
                        yield event
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _begin(self, seen: Seen) -> None:
        """Everything that is there already counts as told.

        Twice, because a conversation that somebody writes in while the list is read moves to a page that was read
        before; all of it would be told as new.
        """
        for _ in range(2):
            async for each in self._rooms.conversations():
                seen.seqs.setdefault(each.id, each.last_seq)

    async def _events(
        self, frame: Ready | StartOver | Beat | ChatFrame | Anything, seen: Seen
    ) -> AsyncGenerator[ChatEvent, None]:
        """What follows of a frame."""
        if isinstance(frame, MessageSent):
            async for event in self._message(frame, seen):
                yield event
            return
        if isinstance(frame, StartOver) or (isinstance(frame, Ready) and not seen.cursor):
            # Only when all is handed over does the cursor move: who is cut off meanwhile asks for the rest again.
            async for event in self._missed(seen):
                yield event
        _move(seen, frame)
        if isinstance(frame, KeysChanged):
            self._rooms.note(frame.conversation_id, frame.roster)
            change = await self._ring.changed(frame.wallet) if frame.event == "public_key" else None
            if change is not None:
                yield change
        if not isinstance(frame, Beat | Anything):
            yield frame

    async def _message(self, frame: MessageSent, seen: Seen) -> AsyncIterator[ChatEvent]:
        """A message, after those before it that did not come.

        One that was handed over already, or has disappeared since the server told of it, is passed over.
        """
        place, message = frame.conversation_id, frame.message
        self._rooms.note(place, frame.roster)
        if message.seq > seen.seqs.get(place, 0) + 1:
            async for event in self._between(place, seen, message.seq - 1):
                yield event
        if message.seq > seen.seqs.get(place, 0):
            if message.expires_at is None or message.expires_at > clock.now():
                async for event in self._handed(await self._letters.opened(place, message), seen, frame):
                    yield event
            seen.seqs[place] = message.seq
        _move(seen, frame)

    async def _missed(self, seen: Seen) -> AsyncIterator[ChatEvent]:
        """All messages that came after those which were handed over."""
        ends = {each.id: each.last_seq async for each in self._rooms.conversations()}
        for place, last in ends.items():
            if last > seen.seqs.get(place, 0):
                async for event in self._between(place, seen, last):
                    yield event

    async def _between(self, place: UUID, seen: Seen, last: int) -> AsyncIterator[ChatEvent]:
        """Those of a conversation that were not handed over, up to a number. Some may have disappeared."""
        try:
            async for letter in self._letters.on(place, seen.seqs.get(place, 0)):
                if letter.seq > last:
                    break
                async for event in self._handed(letter, seen, None):
                    yield event
        except Refused as refused:
            if refused.status != 404:  # no longer in it
                raise
        seen.seqs[place] = max(last, seen.seqs.get(place, 0))

    async def _handed(self, letter: ChatLetter, seen: Seen, frame: MessageSent | None) -> AsyncIterator[ChatEvent]:
        """A letter; where it cannot be read because of another key of its sender, that is told before."""
        if letter.text is None and letter.event is None:
            change = await self._ring.changed(letter.sender)
            if change is not None:
                yield change
                letter = await self._again(letter)
        seen.seqs[letter.conversation] = letter.seq
        if frame is not None:
            _move(seen, frame)
        yield letter

    async def _again(self, letter: ChatLetter) -> ChatLetter:
        """The same, read with what the caller has accepted meanwhile."""
        async for each in self._letters.on(letter.conversation, letter.seq - 1):
            return replace(letter, text=each.text if each.seq == letter.seq else None)
        return letter


def _move(seen: Seen, frame: object) -> None:
    cursor = getattr(frame, "cursor", None)
    if isinstance(cursor, str) and cursor:
        seen.cursor = str(cursor)
