"""What every test may ask for: a database of its own, and the house served over real HTTP."""

import asyncio
import base64
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from litestar.types import ASGIApp

from entrepot.dev import postgres
from entrepot.kernel.db.database import Database
from entrepot.kernel.http.serving import server_of
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import migrate
from entrepot.kernel.values import new_id
from entrepot.main import find_apps
from entrepot.web import web
from tests import installed

ROLE = "entrepot_server"
Cluster = postgres.Server | installed.Installed
TEST_SETTINGS = {**postgres.SETTINGS, **postgres.UNSAFE, "shared_buffers": "128MB"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of this run only, with a migrated template database: the embedded one, or an installed one.

    Not below pytest's own temporary folder: every start of pytest closes that to other users, and PostgreSQL is one.
    """
    folder = Path(tempfile.mkdtemp(prefix="entrepot-test-"))
    with _cluster_in(folder) as server:
        asyncio.run(_make_template(server))
        yield server


def _cluster_in(folder: Path) -> AbstractContextManager[Cluster]:
    if programs := os.environ.get(installed.VARIABLE):
        return installed.started(Path(programs), folder, TEST_SETTINGS)
    return postgres.started(folder, TEST_SETTINGS, throw_away=True)


async def _make_template(server: Cluster) -> None:
    connection = await asyncpg.connect(server.get_uri())
    await connection.execute("CREATE DATABASE migrated")
    await connection.close()
    await migrate.up(server.get_uri("migrated"), find_apps(), ROLE)


class TestDatabase:
    """A database cloned from the migrated template: the owner's address and the server role's."""

    __test__ = False
    settings: Mapping[str, Any] = {}
    """What a house needs to know to use it, beyond its address."""

    def __init__(self, server: Cluster, name: str) -> None:
        self.owner_url = postgres.address(server, "postgres", name)
        self.url = postgres.address(server, ROLE, name)


@asynccontextmanager
async def cloned(cluster: Cluster, template: str = "migrated") -> AsyncIterator[TestDatabase]:
    """A database of that template, dropped afterwards whoever is still connected."""
    name = f"test_{new_id().hex}"
    admin = await asyncpg.connect(cluster.get_uri())
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield TestDatabase(cluster, name)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[TestDatabase]:
    """A migrated database of this test's own."""
    async with cloned(cluster) as made:
        yield made


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection, to look at what is really there."""
    connection = await asyncpg.connect(database.owner_url)
    yield connection
    await connection.close()


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def listening(application: ASGIApp) -> AsyncIterator[str]:
    """An application behind a real server on a free port; yields its address."""
    port = free_port()
    server = server_of(application, port)
    task = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session:
            for _ in range(200):
                if task.done():
                    await task
                with suppress(aiohttp.ClientConnectionError):
                    async with session.get(f"{url}/api/v1/openapi.json") as answer:
                        assert answer.status == 200
                        break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError("the server did not come up")
        yield url
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


def served(settings: Settings) -> AbstractAsyncContextManager[str]:
    """The house behind a real server on a free port; yields its address."""
    return listening(web(settings))


def settings_for(database: TestDatabase, **more: Any) -> Settings:
    """Settings for a test: generous limits, a small pool."""
    given: dict[str, Any] = {
        "database_url": database.url,
        "database_owner_url": database.owner_url,
        "vault_keys": {"test": base64.b64encode(bytes(32)).decode()},
        "objects_url": "memory:///",
        "archives_url": "memory:///",
        "pool_size": 4,
        "cache_bytes": 0,  # tests change rows behind the server's back, and look at once
        "reads_per_minute": 100_000,
        "writes_per_minute": 100_000,
        "sign_ins_per_minute": 100_000,
        "messages_per_minute": 100_000,
        "messages_per_second": 1_000,
    }
    return Settings(**{**given, **database.settings, **more})


@pytest.fixture
async def doors(database: TestDatabase) -> AsyncIterator[Database]:
    """The server's way into this test's database, within the test's own process."""
    async with Database(database.url, settings_for(database)) as made:
        yield made


@pytest.fixture
async def api(database: TestDatabase) -> AsyncIterator[str]:
    """The address of a running server on this test's database, without a chain."""
    async with served(settings_for(database)) as url:
        yield url


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; skips where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data, which is not at {folder}")
    return folder
