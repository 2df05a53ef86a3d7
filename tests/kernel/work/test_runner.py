"""The worker: ticks that run once, services that move, and nothing that stops it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

import asyncpg
import pytest

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.vault import Vault
from entrepot.kernel.work.runner import BadWork, Worker
from entrepot.kernel.work.task import Service, Task
from tests.conftest import TestDatabase, settings_for
from tests.kernel.work.laborers import EVERY_SECOND, LEASE, Declared, House, serve, tick

YEARLY = "0 0 1 1 *"


@pytest.fixture
async def marks(owner: asyncpg.Connection, database: TestDatabase) -> asyncpg.Connection:
    """The owner's connection, with a table that workers write their marks to."""
    await owner.execute("CREATE TABLE public.marks (worker text, what text, at timestamptz DEFAULT clock_timestamp())")
    await owner.execute("GRANT INSERT, SELECT ON public.marks TO entrepot_server")
    return owner


@pytest.fixture
async def pool(database: TestDatabase) -> AsyncIterator[Database]:
    settings = settings_for(database, domain="here")
    async with Database(database.url, settings) as opened:
        yield opened


@asynccontextmanager
async def laborer(database: TestDatabase, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own."""
    environment = {**os.environ, "DATABASE_URL": database.url}
    command = [sys.executable, "-m", "tests.kernel.work.laborers", name]
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def working(pool: Database, app: Declared) -> AsyncIterator[None]:
    """A worker in this process."""
    task = asyncio.create_task(Worker(House(pool, app), lease=LEASE).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)


async def eventually(found: Callable[[], Awaitable[object]], seconds: float = 20) -> object:
    """What is found, as soon as it is."""
    async with asyncio.timeout(seconds):
        while not (there := await found()):
            await asyncio.sleep(0.05)
        return there


async def test_of_two_workers_one_runs_each_tick(database: TestDatabase, marks: asyncpg.Connection) -> None:
    async with laborer(database, "anna"), laborer(database, "bert"):
        both = "SELECT count(DISTINCT worker) = 2 FROM public.marks"
        await eventually(lambda: marks.fetchval(both))
        await asyncio.sleep(3)
    done = await marks.fetchval("SELECT count(*) FROM core.cron_ticks WHERE finished_at IS NOT NULL")
    assert done >= 3
    assert await marks.fetchval("SELECT count(*) FROM public.marks WHERE what = 'tick'") - done in (0, 1)


async def test_a_service_moves_when_its_process_is_killed(database: TestDatabase, marks: asyncpg.Connection) -> None:
    async with AsyncExitStack() as stack:
        doomed = await stack.enter_async_context(laborer(database, "doomed"))
        on_doomed = "SELECT count(DISTINCT what) = 2 FROM public.marks WHERE worker = 'doomed' AND what <> 'tick'"
        await eventually(lambda: marks.fetchval(on_doomed))
        await stack.enter_async_context(laborer(database, "heir"))
        await eventually(
            lambda: marks.fetchval("SELECT true FROM public.marks WHERE worker = 'heir' AND what = 'tick'")
        )
        assert not await marks.fetchval("SELECT true FROM public.marks WHERE worker = 'heir' AND what = 'left'")
        doomed.send_signal(signal.SIGKILL)
        on_heir = "SELECT count(DISTINCT what) = 2 FROM public.marks WHERE worker = 'heir' AND what <> 'tick'"
        await eventually(lambda: marks.fetchval(on_heir))
    last, first = await marks.fetchrow(
        "SELECT max(at) FILTER (WHERE worker = 'doomed'), min(at) FILTER (WHERE worker = 'heir') FROM public.marks"
        " WHERE what = 'left'"
    )
    assert first > last


async def test_a_worker_that_is_told_to_stop_gives_its_services_back(pool: Database, marks: asyncpg.Connection) -> None:
    async with working(pool, Declared(services=(Service(name="s", run=serve, over=lambda: ("one",)),))):
        await eventually(lambda: marks.fetchval("SELECT true FROM public.marks LIMIT 1"))
    assert await marks.fetchval("SELECT count(*) FROM core.leases") == 0


async def test_a_task_that_fails_leaves_its_error_and_the_next_tick_runs(
    pool: Database, marks: asyncpg.Connection
) -> None:
    async def fail() -> None:
        raise ValueError("the wind was against us")

    async with working(pool, Declared(tasks=(Task(name="fails", cron=EVERY_SECOND, run=fail),))):
        await eventually(lambda: marks.fetchval("SELECT count(*) >= 2 FROM core.cron_ticks WHERE error IS NOT NULL"))
    told = await marks.fetchval("SELECT DISTINCT error FROM core.cron_ticks WHERE error IS NOT NULL")
    assert told == "ValueError: the wind was against us"


async def test_what_a_task_wrote_is_not_kept_when_it_fails(pool: Database, marks: asyncpg.Connection) -> None:
    async def write_and_fail(db: Write) -> None:
        await db.connection.execute("INSERT INTO public.marks (worker) VALUES ('half')")
        raise ValueError

    async with working(pool, Declared(tasks=(Task(name="half", cron=YEARLY, run=write_and_fail),))):
        await eventually(lambda: marks.fetchval("SELECT true FROM core.cron_ticks WHERE error IS NOT NULL"))
    assert await marks.fetchval("SELECT count(*) FROM public.marks") == 0


async def test_a_tick_that_everyone_missed_runs_once_and_late(pool: Database, marks: asyncpg.Connection) -> None:
    app = Declared(tasks=(Task(name="yearly", cron=YEARLY, run=tick),))
    async with working(pool, app), working(pool, app):
        await eventually(lambda: marks.fetchval("SELECT finished_at FROM core.cron_ticks"))
    async with working(pool, app):
        await asyncio.sleep(0.5)
    assert await marks.fetchval("SELECT count(*) FROM public.marks") == 1
    assert await marks.fetchval(
        "SELECT tick = date_trunc('year', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' FROM core.cron_ticks"
    )


async def test_a_service_that_fails_is_started_again_and_the_others_go_on(
    pool: Database, marks: asyncpg.Connection
) -> None:
    lives = 0

    async def stumble(database: Database, item: str) -> None:
        nonlocal lives
        lives += item == "weak"
        while True:
            async with database.write() as db:
                await db.connection.execute("INSERT INTO public.marks (what) VALUES ($1)", item)
            if item == "weak":
                raise RuntimeError("stumbled")
            await asyncio.sleep(0.05)

    service = Service(name="stumble", run=stumble, over=lambda: ("weak", "strong"))
    async with working(pool, Declared(services=(service,))):
        await eventually(lambda: marks.fetchval("SELECT count(*) >= 2 FROM public.marks WHERE what = 'weak'"))
        strong = await marks.fetchval("SELECT count(*) FROM public.marks WHERE what = 'strong'")
        await eventually(lambda: marks.fetchval("SELECT count(*) > $1 FROM public.marks WHERE what = 'strong'", strong))
    assert lives >= 2


async def test_a_service_ends_when_its_lease_is_another_s(pool: Database, marks: asyncpg.Connection) -> None:
    async with working(pool, Declared(services=(Service(name="s", run=serve, over=lambda: ("one",)),))):
        await eventually(lambda: marks.fetchval("SELECT true FROM public.marks LIMIT 1"))
        await marks.execute("UPDATE core.leases SET owner = gen_random_uuid(), expires_at = now() + interval '1 hour'")
        await asyncio.sleep(LEASE.total_seconds())
        before = await marks.fetchval("SELECT count(*) FROM public.marks")
        await asyncio.sleep(0.5)
        assert await marks.fetchval("SELECT count(*) FROM public.marks") == before
        await marks.execute("UPDATE core.leases SET expires_at = now() - interval '1 s'")
        await eventually(lambda: marks.fetchval("SELECT count(*) > $1 FROM public.marks", before))


async def test_what_the_house_has_not_is_told_before_anything_runs(pool: Database) -> None:
    async def unseal(vault: Vault) -> None: ...

    with pytest.raises(BadWork, match="unseals needs vault: Vault"):
        Worker(
            House(pool, Declared(tasks=(Task(name="unseals", cron=YEARLY, run=unseal),))), lease=timedelta(seconds=1)
        )
