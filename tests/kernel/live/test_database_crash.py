"""PostgreSQL is killed, and gives numbers of transactions out a second time: what is said after that is heard too."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from entrepot.dev import postgres
from entrepot.kernel.db.pool import LOST
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.values import new_id
from tests.conftest import TestDatabase, _make_template
from tests.kernel.live.radio import Radio

WORDS = ["first", "second", "third", "last"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Server]:
    """A server of this module's own. What is committed without waiting for the disk stays in its memory for long."""
    given = {**postgres.SETTINGS, "shared_buffers": "64MB", "fsync": "off", "wal_writer_delay": "10s"}
    with postgres.started(Path(tempfile.mkdtemp(prefix="entrepot-test-")), given, throw_away=True) as server:
        asyncio.run(_make_template(server))
        yield server


@pytest.fixture
async def database(cluster: postgres.Server) -> TestDatabase:
    """One that goes with its server, as no connection outlives the crash that could drop it."""
    name = f"test_{new_id().hex}"
    admin = await asyncpg.connect(cluster.get_uri())
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY FILE_COPY")
    await admin.close()
    return TestDatabase(cluster, name)


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection, up to the crash."""
    connection = await asyncpg.connect(database.owner_url)
    yield connection
    connection.terminate()


@asynccontextmanager
async def doomed(radio: Radio) -> AsyncIterator[Callable[[], None]]:
    """Kills one process of the database, and so all of them, when it is called."""
    victim = await asyncpg.connect(radio.house.settings.database_url)
    process: int = await victim.fetchval("SELECT pg_backend_pid()")
    yield lambda: os.kill(process, signal.SIGKILL)
    victim.terminate()


async def ring(radio: Radio) -> None:
    """Rings three times. A bell is a transaction, whose number is used up when its commit is not yet on the disk."""
    for _ in range(3):
        radio.house.database.bell.ring()
        await asyncio.sleep(0.02)


async def say(radio: Radio, words: list[str]) -> None:
    """Each as soon as the database takes it."""
    async with asyncio.timeout(30):
        for word in words:
            while True:
                try:
                    await radio.say(word)
                    break
                except (Unavailable, *LOST):
                    await asyncio.sleep(0.05)


async def test_who_listens_hears_the_first_words_after_a_crash(radio: Radio) -> None:
    async with doomed(radio) as kill, radio.tuned() as told:
        await ring(radio)
        kill()
        await say(radio, WORDS)
        assert await told.words(len(WORDS), patience=5) == WORDS


async def test_who_comes_back_after_a_crash_is_told_its_first_words(radio: Radio) -> None:
    async with doomed(radio) as kill:
        await ring(radio)
        async with radio.tuned() as told:
            kill()
        await say(radio, WORDS)
        async with radio.tuned(after=told.cursor) as back:
            assert await back.words(len(WORDS), patience=5) == WORDS
