"""Where people talk: a running server without a chain, and people who come with nothing but a wallet."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import asyncpg
from eth_account import Account
from eth_account.signers.local import LocalAccount

from entrepot.client import ChatLetter, Client, Seen
from entrepot.client.chat.following import ChatEvent
from entrepot.kernel.http.frames import Ready
from tests.conftest import TestDatabase, served, settings_for

E = TypeVar("E")
SOON = 15.0


class Ear:
    """Follows the chat for somebody. What was not asked for yet is kept, in its order."""

    def __init__(self, events: AsyncGenerator[ChatEvent, None]) -> None:
        self.events, self.aside = events, list[ChatEvent]()
        self._next: asyncio.Future[ChatEvent] | None = None

    async def hear(self, kind: type[E], is_meant: Callable[[E], bool] = lambda _: True, within: float = SOON) -> E:
        """The next event of that kind that is meant; raises TimeoutError."""
        for event in self.aside:
            if isinstance(event, kind) and is_meant(event):
                self.aside.remove(event)
                return event
        ends = monotonic() + within
        while True:
            # Not cancelled when the time is over: that would end the generator.
            self._next = self._next or asyncio.ensure_future(anext(self.events))
            await asyncio.wait({self._next}, timeout=max(0, ends - monotonic()))
            if not self._next.done():
                raise TimeoutError(f"no {kind.__name__}, but {self.aside}")
            event, self._next = self._next.result(), None
            if isinstance(event, kind) and is_meant(event):
                return event
            self.aside.append(event)

    async def is_quiet(self) -> bool:
        """Whether no message comes for a while."""
        try:
            self.aside.append(await self.hear(ChatLetter, within=0.5))
        except TimeoutError:
            return True
        return False

    async def stop(self) -> None:
        """Listens no longer."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        await self.events.aclose()

    async def texts(self, count: int) -> list[str | None]:
        """What the next messages say; events of groups are passed over."""
        return [(await self.letter()).text for _ in range(count)]

    async def letter(self) -> ChatLetter:
        return await self.hear(ChatLetter, lambda letter: letter.event is None)


@asynccontextmanager
async def listening(client: Client, seen: Seen | None = None) -> AsyncIterator[Ear]:
    """Somebody who follows the chat, from its first frame on."""
    ear = Ear(client.chat.follow(seen))
    try:
        if seen is None or not seen.cursor:
            await ear.hear(Ready)
        yield ear
    finally:
        await ear.stop()


@dataclass
class Parlour:
    """A server, and who has come to it."""

    url: str
    owner: asyncpg.Connection
    stack: AsyncExitStack

    async def comes(self, key: LocalAccount | None = None) -> Client:
        """Somebody with a new wallet, or with another device of one."""
        client = await self.stack.enter_async_context(Client(self.url, key or Account.create()))
        await client.sign_in()
        return client


@asynccontextmanager
async def parlour(database: TestDatabase, **settings: Any) -> AsyncIterator[Parlour]:
    """A server on that database, for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(settings_for(database, **settings)))
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        yield Parlour(url, owner, await stack.enter_async_context(AsyncExitStack()))
