"""A primary that replicas follow, and sessions whose history is recorded and checked."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import asyncpg
import pytest

from entrepot.dev import postgres
from entrepot.dev.standby import Standby, following
from tests.conftest import ROLE, TestDatabase, _make_template
from tests.kernel.conftest import Client

# Without wal_keep_size, a replica that comes back may find that what it needs is gone.
SETTINGS = {**postgres.SETTINGS, "shared_buffers": "64MB", "fsync": "off", "wal_keep_size": "512MB"}
BOOKMARK = "entrepot-bookmark"


@contextmanager
def primary() -> Iterator[postgres.Server]:
    """A server of this module's own with a migrated template, whose commits are in its log at once."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-test-"))
    with postgres.started(folder, SETTINGS, throw_away=True) as server:
        asyncio.run(_make_template(server))
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Server]:
    """In the place of the whole run's, for the modules that import it."""
    with primary() as server:
        yield server


@pytest.fixture(scope="module")
def standby(cluster: postgres.Server) -> Iterator[Standby]:
    """Its replica."""
    with following(cluster.get_uri()) as made:
        yield made


@pytest.fixture(scope="module")
def second(cluster: postgres.Server) -> Iterator[Standby]:
    """Another one."""
    with following(cluster.get_uri()) as made:
        yield made


def replica_of(standby: Standby, database: TestDatabase) -> str:
    """The server role's address of that database on the replica."""
    return standby.address(ROLE, database.url.partition("?")[0].rpartition("/")[2])


async def on(standby: Standby, statement: str) -> Any:
    """A statement of the owner on the replica."""
    connection = await asyncpg.connect(standby.address("postgres", "postgres"))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def is_up(client: Client, state: str = "up") -> None:
    """Waits until the server sees its replicas in that state."""
    async with asyncio.timeout(60):
        while not all(replica.state.startswith(state) for replica in client.house.database.replicas.all):
            await asyncio.sleep(0.02)


@dataclass
class Session:
    """One caller, who brings each time what the last answer told. `history`: name, count, and whether it wrote it."""

    client: Client
    name: str
    bookmark: str = ""
    history: list[tuple[str, int, bool]] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds."""

    async def call(self, method: str, name: str, **more: Any) -> int | None:
        """The count that was answered; None where it was refused."""
        headers, began = {BOOKMARK: self.bookmark} if self.bookmark else {}, monotonic()
        status, made, told = await self.client.call(method, f"/tally/tallies/{name}", headers=headers, **more)
        self.bookmark = told.get(BOOKMARK, self.bookmark)
        self.slowest = max(self.slowest, monotonic() - began)
        if status not in (200, 201):
            self.errors.append(status)
            return None
        self.history.append((name, made["count"], method != "GET"))
        return int(made["count"])

    async def add(self) -> int | None:
        """One more of its own."""
        return await self.call("PATCH", self.name, json={"step": 1})

    async def lives(self, others: list[str], over: asyncio.Event, random: Random) -> None:
        """Writes, reads what it wrote, and reads what others write, until it is over."""
        while not over.is_set():
            await self.add()
            for name in (self.name, random.choice(others), random.choice(others), self.name):
                await self.call("GET", name)


def faults(history: list[tuple[str, int, bool]]) -> list[str]:
    """Where a session missed its own write or went back in time: every count only ever grows."""
    known: dict[str, tuple[int, bool]] = {}
    found = []
    for place, (name, count, wrote) in enumerate(history):
        before, own = known.get(name, (0, False))
        if count < before:
            found.append(f"{place}: {name} was {before}{', written here,' if own else ''} and is {count}")
        known[name] = (count, wrote)
    return found
