"""A running server with people who write to each other."""

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import pytest

from entrepot.kernel.values import new_id
from tests import callers
from tests.callers import Answer
from tests.conftest import TestDatabase, served, settings_for


def envelope(size: int = 40, **changes: Any) -> dict[str, Any]:
    """A message, as far as a server can tell."""
    sealed, nonce = (base64.b64encode(secrets.token_bytes(octets)).decode() for octets in (size, 24))
    return {"message_id": str(new_id()), "ciphertext": sealed, "nonce": nonce, "roster": 0, **changes}


class Caller(callers.Caller):
    """Somebody who writes."""

    app = "chat"

    async def writes_to(self, other: "Caller", **changes: Any) -> Answer:
        return await self.post(f"direct/{other.wallet}/messages", **envelope(**changes))

    async def writes_in(self, conversation: str, **changes: Any) -> Answer:
        return await self.post(f"conversations/{conversation}/messages", **envelope(**changes))


@dataclass
class Place:
    """A running server, and the owner's connection to its database."""

    url: str
    http: aiohttp.ClientSession
    owner: asyncpg.Connection

    def stranger(self) -> Caller:
        return Caller(self.http)

    async def member(self) -> Caller:
        caller = Caller(self.http)
        answer = await caller.sign_in(caller.key)
        assert answer.status == 200, answer.body
        return caller

    async def snapshot(self) -> dict[str, tuple[int, int]]:
        return await callers.snapshot(self.owner, "chat")


@asynccontextmanager
async def opened_place(database: TestDatabase, **settings: Any) -> AsyncIterator[Place]:
    """A server on that database."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(settings_for(database, **settings)))
        http = await stack.enter_async_context(aiohttp.ClientSession(url))
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        yield Place(url, http, owner)


@pytest.fixture
async def place(database: TestDatabase) -> AsyncIterator[Place]:
    """A server of this test's own."""
    async with opened_place(database) as opened:
        yield opened


@pytest.fixture
async def alice(place: Place) -> Caller:
    """Somebody."""
    return await place.member()


@pytest.fixture
async def bob(place: Place) -> Caller:
    """Somebody else."""
    return await place.member()
