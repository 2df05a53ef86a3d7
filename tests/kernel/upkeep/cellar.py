"""A server of a test's own with the market's schema, and places where its backups lie."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from entrepot.dev import postgres
from entrepot.kernel.app import Apps
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import migrate
from entrepot.kernel.upkeep.backup import wal
from entrepot.kernel.upkeep.backup.model import Lsn
from entrepot.kernel.upkeep.backup.place import Place, place_of, store_of, systems
from entrepot.kernel.upkeep.backup.restore import restore
from entrepot.main import find_apps
from tests.conftest import ROLE

APPS = Apps(find_apps())
SETTINGS = {**postgres.SETTINGS, "shared_buffers": "32MB", "fsync": "off", "max_connections": "50"}
KEYS = {"old": "b" * 43 + "=", "new": "c" * 43 + "="}


@dataclass(frozen=True)
class Cellar:
    """One server, and one place for its backups. Its folder is removed with it."""

    owner_url: str
    url: str
    folder: Path
    bucket: str = ""
    """Where they lie instead of in the folder."""

    def settings(self, **more: Any) -> Settings:
        """Of a house whose backups lie here."""
        given: dict[str, Any] = {
            "home": self.folder / "home",
            "database_url": self.url,
            "database_owner_url": self.owner_url,
            "backup_url": self.bucket or (self.folder / "backups").as_uri(),
            **more,
        }
        return Settings(**given)

    @property
    def place(self) -> Place:
        """Where they lie, to look at, whether they are sealed or not."""
        (system,) = systems(store_of(self.settings()))
        return place_of(self.settings(backup_keys=KEYS), system, unsealed=True)

    def file(self, name: str) -> Path:
        """The file of an object."""
        return next((self.folder / "backups").iterdir()) / name

    @asynccontextmanager
    async def archiving(self, settings: Settings | None = None) -> AsyncIterator[None]:
        """With the archive of the WAL at work."""
        work = asyncio.create_task(wal.archive(settings or self.settings()))
        try:
            await self.archived(work)
            yield
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    async def archived(self, work: "asyncio.Task[None] | None" = None) -> None:
        """Waits until everything that is committed now is in the archive."""
        async with self.connected() as db:
            wanted = Lsn.parse(await db.fetchval("SELECT pg_current_wal_flush_lsn()::text"))
        async with asyncio.timeout(30):
            while not self._reaches(wanted):
                if work is not None and work.done():
                    await work
                await asyncio.sleep(0.05)

    def _reaches(self, wanted: Lsn) -> bool:
        position = self.place.position() if systems(store_of(self.settings())) else None
        return position is not None and Lsn.parse(position.lsn) >= wanted

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """The owner's connection."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def commit(self, note: str) -> datetime:
        """A transaction of its own, which a look into the copy finds; a moment after it and before any other."""
        async with self.connected() as db:
            await db.execute("CREATE TABLE IF NOT EXISTS public.notes (note text, at timestamptz DEFAULT now())")
            await db.execute("INSERT INTO public.notes VALUES ($1)", note)
            await asyncio.sleep(0.01)
            moment: datetime = await db.fetchval("SELECT clock_timestamp()")
            await asyncio.sleep(0.01)
        return moment

    async def restored(self, to: str = "", *, unsealed: bool = False, **settings: Any) -> list[str]:
        """The notes in a server that was restored and started as any other."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            await restore(self.settings(**settings), folder, to, unsealed=unsealed)
            with postgres.started(folder, SETTINGS) as server:
                connection = await asyncpg.connect(server.get_uri())
                try:
                    return [row[0] for row in await connection.fetch("SELECT note FROM public.notes ORDER BY at")]
                finally:
                    await connection.close()
        finally:
            shutil.rmtree(folder)


@contextmanager
def running() -> Iterator[postgres.Server]:
    """A server with the market's schema."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-test-"))
    with postgres.started(folder, SETTINGS, throw_away=True) as server:
        asyncio.run(migrate.up(server.get_uri(), APPS, ROLE))
        yield server


@contextmanager
def cellar_of(owner_url: str, url: str) -> Iterator[Cellar]:
    """An empty place for backups of a server, where PostgreSQL's own user may go too."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-cellar-"))
    folder.chmod(0o755)
    try:
        yield Cellar(owner_url, url, folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """A server for one file of tests, which may damage it."""
    with running() as made:
        yield made


@pytest.fixture
def cellar(server: postgres.Server) -> Iterator[Cellar]:
    """An empty place for that server's backups."""
    with cellar_of(server.get_uri(), postgres.address(server, ROLE, "postgres")) as made:
        yield made
