"""The archive of the WAL and verification, killed at random instants while the database is written."""

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import asyncpg

from entrepot.kernel.upkeep.backup.create import create
from entrepot.kernel.upkeep.backup.verify import ROOM, remove_left_over, verify
from tests.kernel.upkeep.cellar import APPS, Cellar, cellar, server

__all__ = ["cellar", "server"]
KILLS = 60 if os.environ.get("FAULTS") == "full" else 3
SETTINGS = """
import asyncio, sys
from pathlib import Path
from entrepot.kernel.settings import Settings
settings = Settings(home=Path(sys.argv[1]), database_url=sys.argv[2], database_owner_url=sys.argv[2],
    backup_url=sys.argv[3])
"""
ARCHIVE = (
    SETTINGS
    + """
from entrepot.kernel.upkeep.backup.wal import archive
asyncio.run(archive(settings))
"""
)
VERIFY = (
    SETTINGS
    + """
from entrepot.kernel.app import Apps
from entrepot.kernel.upkeep.backup.verify import verify
from entrepot.main import find_apps
asyncio.run(verify(settings, Apps(find_apps())))
"""
)
RECEIVERS = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'entrepot_wal'"


async def started(cellar: Cellar, what: str) -> asyncio.subprocess.Process:
    """The archive, or a verification, in a process of its own."""
    arguments = (str(cellar.folder / "home"), cellar.owner_url, (cellar.folder / "backups").as_uri())
    return await asyncio.create_subprocess_exec(sys.executable, "-c", what, *arguments)


async def receivers(cellar: Cellar, count: int) -> None:
    """Waits until so many stream the WAL."""
    async with cellar.connected() as db, asyncio.timeout(20):
        while await db.fetchval(RECEIVERS) != count:
            await asyncio.sleep(0.02)


def rooms() -> list[Path]:
    """Where verifications are at work, or were when they were killed."""
    return list(Path(tempfile.gettempdir()).glob(f"{ROOM}*"))


async def write(url: str, stop: asyncio.Event) -> int:
    """Rows of random bytes, each in a transaction of its own; how many."""
    connection = await asyncpg.connect(url)
    count = 0
    try:
        while not stop.is_set():
            count += 1
            await connection.execute("INSERT INTO public.notes VALUES ($1)", str(count))
            await connection.execute(
                "INSERT INTO public.bulk SELECT gen_random_uuid()::text FROM generate_series(1, 300)"
            )
            if count % 50 == 0:
                await connection.execute("SELECT pg_switch_wal()")
            await asyncio.sleep(0.02)
    finally:
        connection.terminate()
    return count


async def test_no_segment_is_lost_however_often_the_archive_is_killed(cellar: Cellar) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    async with cellar.connected() as db:
        await db.execute("CREATE TABLE public.notes (note text, at timestamptz DEFAULT now())")
        await db.execute("CREATE TABLE public.bulk (text text)")
    async with cellar.archiving():
        await create(cellar.settings())
    stop = asyncio.Event()
    writer = asyncio.create_task(write(cellar.owner_url, stop))
    for _ in range(KILLS):
        process = await started(cellar, ARCHIVE)
        await receivers(cellar, 1)
        await asyncio.sleep(dice.uniform(0, 1.8))
        process.kill()
        await process.wait()
        await receivers(cellar, 0)
        if dice.random() < 0.7:
            await asyncio.to_thread(shutil.rmtree, cellar.folder / "home")  # its machine is lost
    stop.set()
    count = await writer
    async with cellar.archiving():
        await cellar.archived()
    assert await cellar.restored() == [str(number) for number in range(1, count + 1)]


async def test_a_verification_that_is_killed_leaves_no_server_and_its_files_go_with_the_next(cellar: Cellar) -> None:
    await create(cellar.settings())
    before = set(rooms())
    process = await started(cellar, VERIFY)
    async with asyncio.timeout(30):
        while not (left := [each for each in rooms() if each not in before and (each / "data" / "base").exists()]):
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert all(each.exists() for each in left)
    await asyncio.to_thread(remove_left_over)
    assert not any(each.exists() for each in left)
    async with cellar.archiving():
        assert (await verify(cellar.settings(), APPS)).findings == ()
