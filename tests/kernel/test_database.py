"""The pool: as many connections as were set, none of them dead, none of them remembering anything."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext

import asyncpg
import pytest

from entrepot.kernel.db import pool as module
from entrepot.kernel.db.causal import Progress
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.refusal import CommitUnknown, Unavailable
from entrepot.kernel.values import new_id
from tests.conftest import ROLE, TestDatabase, settings_for
from tests.kernel.tunnel import dug

PID = Query("SELECT pg_backend_pid()")
ONE = Query("SELECT 1")
ADD = Query("INSERT INTO core.leases (name, owner, expires_at) VALUES (:name, :owner, now())")
OURS = f"FROM pg_stat_activity WHERE usename = '{ROLE}' AND datname = current_database()"
KILL = f"SELECT count(pg_terminate_backend(pid)) {OURS}"
KILLER = f"""
import asyncio, asyncpg, sys
async def kill():
    owner = await asyncpg.connect(sys.argv[1])
    while await owner.fetchval({KILL!r}):
        await asyncio.sleep(0.01)
asyncio.run(kill())
"""
DEADLY = """
    CREATE FUNCTION core.die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END$$;
    CREATE CONSTRAINT TRIGGER die AFTER INSERT ON core.leases DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION core.die();
"""


async def warm(pool: Database, connections: int) -> set[int]:
    """Opens that many connections and leaves them idle; tells their processes."""
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(pool.read()) for _ in range(connections)]
        return {await door.value(PID) for door in doors}


def kill_unseen(database: TestDatabase) -> None:
    """Ends every connection of the server's role while this process stands still, so that its loop sees none end."""
    subprocess.run([sys.executable, "-c", KILLER, database.owner_url], check=True)


async def test_thirty_connections_are_the_most_and_the_next_caller_waits(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    settings = settings_for(database, pool_size=20, pool_overflow=10, pool_timeout=0.3)
    async with Database(database.url, settings) as pool, AsyncExitStack() as stack:
        doors = [pool.read() for _ in range(30)]
        for door in doors:
            await (await stack.enter_async_context(door)).value(ONE)
        assert await owner.fetchval(f"SELECT count(*) {OURS}") == 30
        began = time.monotonic()
        with pytest.raises(Unavailable) as refused:
            async with pool.read():
                pass
        assert 0.3 <= time.monotonic() - began < 2
        assert refused.value.part == "database"
        assert await owner.fetchval(f"SELECT count(*) {OURS}") == 30


async def test_who_waits_is_served_when_a_place_is_free(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database, pool_size=1, pool_overflow=0)) as pool:
        async with pool.read() as first:
            process = await first.value(PID)
            waiting = asyncio.create_task(warm(pool, 1))
            await asyncio.sleep(0)
            assert pool.pool.places.locked()
        assert await waiting == {process}


async def test_a_place_is_given_back_whatever_happens_in_the_block(database: TestDatabase) -> None:
    settings = settings_for(database, pool_size=2, pool_overflow=0, pool_timeout=0.5)

    async def fail(pool: Database) -> None:
        async with pool.write() as db:
            await db.value(Query("SELECT 1 / 0"))

    async with Database(database.url, settings) as pool:
        for _ in range(5):
            with pytest.raises(asyncpg.DivisionByZeroError):
                await fail(pool)
            cancelled = asyncio.create_task(pool_sleep(pool))
            await asyncio.sleep(0.01)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        assert len(await warm(pool, 2)) == 2


async def pool_sleep(pool: Database) -> None:
    async with pool.write() as db:
        await db.value(Query("SELECT pg_sleep(60)"))


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every idle connection counts as one that lay long."""
    monkeypatch.setattr(module, "IDLE_BEFORE_PING", 0.0)


@pytest.mark.usefixtures("blind")
async def test_a_backend_that_was_killed_while_idle_is_no_error_for_the_next(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database)) as pool:
        before = await warm(pool, 4)
        kill_unseen(database)
        async with pool.write() as db:
            assert await db.value(PID) not in before
        assert not before & await warm(pool, 4)


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """A backend that takes everything and answers nothing."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.usefixtures("blind")
async def test_who_gives_up_while_a_connection_is_tried_leaves_none_behind(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    """As whoever asks for the health of a server does, again and again while its database is silent."""
    async with Database(database.url, settings_for(database)) as pool:
        for _ in range(2):
            (process,) = await warm(pool, 1)
            with stopped(process), pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), pool.read():
                    pass
        await warm(pool, 1)
        async with asyncio.timeout(5):
            while await owner.fetchval(f"SELECT count(*) {OURS}") > 1:
                await asyncio.sleep(0.05)


async def test_a_bookmark_that_nobody_waits_for_any_more_takes_no_connection_with_it(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database, pool_pre_ping=False)) as pool:
        (process,) = await warm(pool, 1)
        with stopped(process):
            noting = asyncio.create_task(pool.replicas.note(Progress()))
            await asyncio.sleep(0.1)
            noting.cancel()
            await asyncio.wait([noting])
        assert pool.pool.usage.in_use == 0
        assert len(await warm(pool, 4)) == 4


@pytest.mark.usefixtures("blind")
async def test_without_the_trial_it_would_be_an_error(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database, pool_pre_ping=False)) as pool:
        await warm(pool, 1)
        kill_unseen(database)
        with pytest.raises(module.LOST):
            await warm(pool, 1)
        assert len(await warm(pool, 1)) == 1


@pytest.mark.parametrize("pre_ping", [True, False])
@pytest.mark.usefixtures("blind")
async def test_a_server_that_said_its_last_word_and_left_the_line_open_is_known_to_be_gone(
    database: TestDatabase, owner: asyncpg.Connection, *, pre_ping: bool
) -> None:
    async with (
        dug(database.url) as (url, tunnel),
        Database(url, settings_for(database, pool_pre_ping=pre_ping)) as pool,
    ):
        before = await warm(pool, 1)
        tunnel.is_silent = True
        await owner.fetchval(KILL)
        await asyncio.wait_for(tunnel.server_left.wait(), 10)
        tunnel.is_silent = False
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as other:
            await other.execute("SELECT 'by now the last word has arrived'")
        with nullcontext() if pre_ping else pytest.raises(module.LOST):
            assert not before & await warm(pool, 1)
        assert len(await warm(pool, 4)) == 4


async def until_prepared(connection: asyncpg.Connection) -> None:
    """Until the answer to what it asks first has come, and the next is not asked yet."""
    arrived = select.poll()
    arrived.register(connection._transport.get_extra_info("socket"), select.POLLIN)
    while not arrived.poll(0):
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_connection_that_ends_between_preparing_and_running_is_known_to_be_gone(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database)) as pool:

        async def lost(number: int) -> None:
            async with pool.read() as db:
                asking = asyncio.create_task(db.value(Query(f"SELECT {number}")))
                await asyncio.sleep(0)
                await until_prepared(db.connection)
                db.connection.terminate()
                await asking

        for number in range(20):
            with pytest.raises(asyncpg.ConnectionDoesNotExistError):
                await lost(number)


async def test_a_transaction_that_was_killed_says_so_and_leaves_nothing(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    async with Database(database.url, settings_for(database)) as pool:

        async def killed() -> None:
            async with pool.write() as db:
                await db.run(ADD, name="a", owner=new_id())
                await owner.fetchval(KILL)
                await db.run(ADD, name="b", owner=new_id())

        with pytest.raises(module.LOST):
            await killed()
        assert await owner.fetchval("SELECT count(*) FROM core.leases") == 0
        assert len(await warm(pool, 4)) == 4


async def test_a_connection_that_is_lost_at_the_commit_leaves_it_open(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    await owner.execute(DEADLY)
    async with Database(database.url, settings_for(database)) as pool:

        async def lost() -> None:
            async with pool.write() as db:
                await db.run(ADD, name="a", owner=new_id())

        with pytest.raises(CommitUnknown):
            await lost()
        assert len(await warm(pool, 4)) == 4


async def test_no_connection_outlives_its_time(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database, pool_recycle=0.2)) as pool:
        (first,) = await warm(pool, 1)
        async with asyncio.timeout(10):
            while await warm(pool, 1) == {first}:
                await asyncio.sleep(0.02)


async def test_a_release_costs_no_round_trip(database: TestDatabase, owner: asyncpg.Connection) -> None:
    await owner.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    async with Database(database.url, settings_for(database)) as pool:
        await warm(pool, 4)
        await owner.fetchval("SELECT pg_stat_statements_reset()")
        for number in range(20):
            async with pool.read() as db:
                await db.value(ONE)
            async with pool.write() as db:
                await db.run(ADD, name=str(number), owner=new_id())
    sent = await owner.fetch(
        "SELECT query, calls FROM pg_stat_statements WHERE userid = $1::regrole"
        " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        ROLE,
    )
    told = {row["query"].split()[0].rstrip(";"): row["calls"] for row in sent}
    assert told == {"SELECT": 20, "INSERT": 20, "BEGIN": 20, "COMMIT": 20}


async def test_a_server_that_takes_no_more_connections_is_unavailable(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    name = await owner.fetchval("SELECT current_database()")
    async with Database(database.url, settings_for(database)) as pool, pool.read():
        await owner.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 1")
        with pytest.raises(Unavailable):
            await warm(pool, 1)
        await owner.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        assert len(await warm(pool, 3)) == 3


async def test_a_fault_in_a_statement_is_not_taken_for_a_lost_connection(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database)) as pool, pool.read() as db:
        with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"):
            await db.connection.fetch("SELECT $1::int")
