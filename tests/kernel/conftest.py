"""A tiny app of the tests' own, served over real HTTP: named tallies that can be raised."""

import hashlib
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest

from entrepot.kernel.core import CORE
from entrepot.kernel.http import server
from entrepot.kernel.http.log import AccessLog
from entrepot.kernel.http.openapi import document
from entrepot.kernel.http.pages import pages
from entrepot.main import House
from tests.conftest import ROLE, TestDatabase, listening, settings_for
from tests.kernel.tally import APP

OPERATOR = "0x27b1fdb04752bbc536007a920d24acb045561c26"
WALLET = "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB"
Serve = Callable[..., AbstractAsyncContextManager["Client"]]


class Client:
    """What a caller of the tallies has: an address, and a session for one wallet."""

    def __init__(self, http: aiohttp.ClientSession, url: str, house: House, log: AccessLog) -> None:
        self.http, self.url, self.house, self.log = http, url, house, log

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any, Any]:
        """Status, answer (JSON where it is JSON) and headers."""
        signed_in = {"Authorization": f"Bearer {more.pop('token', WALLET)}"}
        headers = {**signed_in, **more.pop("headers", {})}
        async with self.http.request(method, self.url + path, headers=headers, **more) as answer:
            body = await answer.read()
            made = await answer.json(content_type=None) if body else None
            return answer.status, made, answer.headers


async def prepare(owner: asyncpg.Connection) -> None:
    """The table of the tallies, and a session for each wallet whose token is the wallet itself."""
    await owner.execute(
        "CREATE SCHEMA tally; CREATE TABLE tally.tallies (name text PRIMARY KEY, count bigint NOT NULL);"
        f"GRANT USAGE ON SCHEMA tally TO {ROLE}; GRANT ALL ON tally.tallies TO {ROLE};"
        "INSERT INTO tally.tallies VALUES ('first', 1)"
    )
    for wallet in (WALLET, OPERATOR):
        await owner.execute(
            "INSERT INTO core.sessions (token_hash, wallet, expires_at) VALUES ($1, $2, now() + interval '1 hour')",
            hashlib.sha256(wallet.encode()).digest(),
            wallet,
        )


@pytest.fixture
async def serve(database: TestDatabase, owner: asyncpg.Connection) -> Serve:
    """Serves the tallies with the settings given; `hot=False` leaves everything to Litestar."""
    await prepare(owner)

    @asynccontextmanager
    async def run(*, hot: bool = True, **settings: Any) -> AsyncIterator[Client]:
        house = House(settings_for(database, **{"operators": (OPERATOR,), **settings}))
        house.apps = (CORE, APP)
        endpoints = house.endpoints()
        built = server.build(endpoints, house.settings, pages(document(endpoints, "Tallies", "1")))
        built.log.stream = io.StringIO()
        async with house, listening(built if hot else built.litestar) as url, aiohttp.ClientSession() as http:
            yield Client(http, f"{url}/api/v1", house, built.log)

    return run


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[Client]:
    """A caller of the tallies."""
    async with serve() as made:
        yield made
