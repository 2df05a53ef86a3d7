"""The test-only app of live streams: stations that say words, and sets that are tuned to one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import msgspec
import sqlalchemy as sa

from entrepot.kernel.app import App
from entrepot.kernel.core import CORE
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Fresh
from entrepot.kernel.http import server
from entrepot.kernel.http.frames import Subscription, Watch
from entrepot.kernel.http.openapi import document
from entrepot.kernel.http.pages import pages
from entrepot.kernel.http.route import OWN, Who, stream
from entrepot.kernel.refusal import NotFound
from entrepot.kernel.work.outbox import Letter, publish
from entrepot.main import House
from tests.conftest import TestDatabase, listening, settings_for
from tests.kernel.conftest import WALLET


class Said(msgspec.Struct, frozen=True, tag_field="kind", tag="said"):
    """A word."""

    word: str


class Tune(Watch, frozen=True, kw_only=True):
    """Which station, and which of its programmes."""

    station: str
    about: str | None = None


class NoSuchStation(NotFound):
    """There is no such station."""


async def tune(_db: Fresh, ask: Tune) -> Subscription:
    """Listen to a station."""
    if ask.station == "secret":
        raise NoSuchStation
    return Subscription((f"radio:{ask.station}",), ask.about)


ROUTES = (stream("/{station}", tune, who=Who.SIGNED_IN, of=OWN, frames=(Said,), refuses=(NoSuchStation,)),)
APP = App(name="radio", tables=sa.MetaData(schema="radio"), routes=ROUTES)


async def say(database: Database, *words: str, station: str = "one", about: str | None = None) -> None:
    """Says words in one transaction."""
    async with database.write() as db:
        await publish(db, [Letter(f"radio:{station}", Said(word), about) for word in words])


@dataclass
class Set:
    """A WebSocket that is tuned to a station, and the cursor of the last frame that came."""

    socket: aiohttp.ClientWebSocketResponse
    cursor: str = ""
    close: tuple[int, str] | None = None

    async def frame(self, patience: float = 10) -> dict[str, Any]:
        """The next frame, of whatever kind; empty at the end."""
        message = await self.socket.receive(patience)
        if message.type is not aiohttp.WSMsgType.TEXT:
            # What the socket itself says is 1006 where the server is gone before we could answer its goodbye.
            is_told = message.type is aiohttp.WSMsgType.CLOSE
            self.close = (message.data if is_told else self.socket.close_code or 0, str(message.extra))
            return {}
        told: dict[str, Any] = json.loads(message.data)
        self.cursor = told.get("cursor", self.cursor)
        return told

    async def words(self, many: int, patience: float = 20) -> list[str]:
        """The next words, without the beats between them; all of them in that many seconds."""
        found: list[str] = []
        async with asyncio.timeout(patience):
            while len(found) < many:
                told = await self.frame(patience)
                assert told, f"the stream ended with {self.close} after {len(found)} words"
                if told["kind"] == "said":
                    found.append(told["word"])
        return found

    async def ended(self) -> tuple[int, list[str]]:
        """The close code, and the kinds of the frames before it."""
        kinds = []
        while told := await self.frame():
            kinds.append(told["kind"])
        assert self.close is not None
        return self.close[0], kinds


@dataclass
class Radio:
    """A served house with the radio in it."""

    house: House
    url: str
    http: aiohttp.ClientSession
    owner: asyncpg.Connection
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {WALLET}"})

    async def say(self, *words: str, **more: Any) -> None:
        """Says words in one transaction."""
        await say(self.house.database, *words, **more)

    @asynccontextmanager
    async def tuned(self, station: str = "one", *, ready: bool = True, **more: Any) -> AsyncIterator[Set]:
        """A set that is tuned, and by default has heard so."""
        headers = more.pop("headers", self.headers)
        path = f"{self.url}/api/v1/radio/{station}"
        given = {name: value for name, value in more.items() if value is not None}
        async with self.http.ws_connect(path, params=given, headers=headers, max_msg_size=0) as socket:
            made = Set(socket)
            if ready:
                told = await made.frame()
                assert told["kind"] == "ready", told
            yield made


@asynccontextmanager
async def on_air(database: TestDatabase, owner: asyncpg.Connection, **settings: Any) -> AsyncIterator[Radio]:
    """A radio on that database."""
    house = House(settings_for(database, **settings))
    house.apps = (CORE, APP)
    endpoints = house.endpoints()
    built = server.build(endpoints, house.settings, pages(document(endpoints, "Radio", "1")))
    async with house, listening(built) as url, aiohttp.ClientSession() as http:
        yield Radio(house, url, http, owner)
        await house.live.close()
