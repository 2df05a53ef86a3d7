"""Every alert fires when what it warns of is the case, is told once, and resolves when it is over."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

from entrepot.dev.anvil import anvil
from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.core import CORE
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.monitor import measures
from entrepot.kernel.monitor.delivery import deliver
from entrepot.kernel.monitor.evaluate import judge
from entrepot.kernel.monitor.measures import MEASURES
from entrepot.kernel.monitor.model import Reading
from entrepot.kernel.monitor.rules import RULES, rules_of
from entrepot.kernel.settings import AlertSettings, BadSettings, ChainSettings, Settings
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.values import new_id
from tests.bazaar import opened
from tests.conftest import ROLE, Cluster, TestDatabase, free_port, settings_for
from tests.installed import followed
from tests.kernel.monitor.watch import Watch, changed, watched
from tests.kernel.monitor.worker import Place, caught_up, run_once

NAP = Query("SELECT pg_sleep(:seconds)")
ONE = Query("SELECT 1")
TIMES = ["fired", "resolved"]


@pytest.fixture
async def watch(database: TestDatabase) -> AsyncIterator[Watch]:
    async with watched(database, alerts=changed()) as made:
        yield made


def test_every_rule_has_a_measure() -> None:
    assert {rule.name for rule in RULES} == set(MEASURES)


async def test_a_pool_that_is_full_is_told_and_so_is_its_end(watch: Watch) -> None:
    database, reporter = watch.house.database, watch.house.reporter
    async with AsyncExitStack() as stack:
        for _ in range(database.pool.usage.most):
            await stack.enter_async_context(database.read())
        reporter.look()
    await reporter.report()
    await watch.look()
    await watch.look()
    assert watch.told("pool") == ["fired"]
    reporter.look()
    await reporter.report()
    await watch.look()
    assert watch.told("pool") == TIMES


async def test_slow_statements_are_told_and_so_is_their_end(watch: Watch) -> None:
    await watch.look()
    async with watch.house.database.read() as db:
        for _ in range(4):
            await db.value(NAP, seconds=0.25)
    await watch.look()
    assert watch.told("slow") == watch.told("latency") == ["fired"]
    async with watch.house.database.read() as db:
        for _ in range(100):
            await db.value(ONE)
    await watch.look()
    assert watch.told("slow") == watch.told("latency") == TIMES


async def test_a_transaction_that_stays_open_is_told_and_who_waits_for_its_lock(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    short = AlertSettings(threshold=0.3, hold=0)
    async with watched(database, alerts=changed(transaction=short, lock=short)) as watch:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("LOCK TABLE core.secrets")
        server = await asyncpg.connect(database.url)
        waiting = asyncio.create_task(server.fetch("SELECT FROM core.secrets"))
        await asyncio.sleep(0.5)
        await watch.look()
        assert watch.told("transaction") == watch.told("lock") == ["fired"]
        (found,) = [each["data"]["told"] for each in watch.posts if each["data"]["rule"] == "lock"]
        assert f"waits for [{owner.get_server_pid()}]" in found
        await transaction.rollback()
        await waiting
        await watch.look()
        assert watch.told("transaction") == watch.told("lock") == TIMES
        await server.close()


@pytest.mark.parametrize(("rule", "name"), [("archive", "core.retention"), ("task", "core.purge_keys")])
async def test_a_task_that_fails_is_told_until_it_runs_well(
    rule: str, name: str, watch: Watch, owner: asyncpg.Connection
) -> None:
    (declared,) = [each for each in CORE.tasks if each.name == name]
    table = "outbox" if rule == "archive" else "idempotency_keys"
    await owner.execute(f"REVOKE DELETE ON core.{table} FROM {ROLE}")
    await run_once(watch, declared, owner)
    await watch.look()
    assert watch.told(rule) == ["fired"]
    await owner.execute(f"GRANT DELETE ON core.{table} TO {ROLE}")
    await run_once(watch, declared, owner)
    await watch.look()
    assert watch.told(rule) == TIMES


async def test_a_mirror_that_stands_still_is_told_until_it_has_caught_up(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    async with AsyncExitStack() as stack:
        opening = await stack.enter_async_context(Database(database.url, settings_for(database)))
        bazaar = await stack.enter_async_context(opened(opening))
        watch = await stack.enter_async_context(watched(database, alerts=changed(), chains=(bazaar.settings,)))
        place = Place(watch.house, tuple(replace(app, tasks=()) for app in watch.house.apps))
        await caught_up(place, bazaar.node, owner)
        await watch.look()
        assert watch.told("mirror") == []
        await bazaar.node.mine(60)
        await watch.look()
        assert watch.told("mirror") == ["fired", "fired"]  # both contracts
        away = msgspec.structs.replace(bazaar.settings, endpoints=(f"http://127.0.0.1:{free_port()}",))
        async with watched(database, alerts=changed(), chains=(away,)) as other:
            await other.look()
            assert other.told("mirror") == [], "whether it is well cannot be told"
        await caught_up(place, bazaar.node, owner)
        await watch.look()
        assert sorted(watch.told("mirror")) == ["fired", "fired", "resolved", "resolved"]


async def test_a_chain_that_does_not_answer_is_told(database: TestDatabase) -> None:
    port = free_port()
    told = ChainSettings("ethereum", 31_337, (f"http://127.0.0.1:{port}",))
    async with watched(database, alerts=changed(), chains=(told,)) as watch:
        await watch.look()
        assert watch.told("chain") == ["fired"]
        async with anvil(port=port, accounts=1):
            await watch.look()
            assert watch.told("chain") == TIMES


async def test_a_node_that_takes_connections_and_never_answers_is_told_and_hides_no_other(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "HEAD_PATIENCE", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        chains = (
            ChainSettings("ethereum", 31_337, (silent_url,)),
            ChainSettings("base", 31_338, (silent_url,)),
            ChainSettings("bsc", 31_339, (f"http://127.0.0.1:{free_port()}",)),
        )
        async with watched(database, alerts=changed(), chains=chains) as watch:
            await watch.look()
            assert watch.told("chain") == ["fired"] * 3


async def test_what_cannot_be_measured_keeps_nothing_else_from_being_told(
    database: TestDatabase, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """In the place of the backups lies what no release has ever written."""
    system: int = await owner.fetchval("SELECT system_identifier FROM pg_control_system()")
    (tmp_path / str(system)).mkdir()
    (tmp_path / str(system) / "position.json.gz").write_bytes(gzip.compress(b"[]"))
    found = {"database_backup_url": database.owner_url, "backup_url": tmp_path.as_uri()}
    async with watched(database, alerts=changed(), **found) as watch:
        await watch.look()
        assert watch.told("backup") == ["fired"], "none was ever proven"


async def test_a_partition_that_is_missing_is_told_even_where_measurements_find_none(
    watch: Watch, owner: asyncpg.Connection
) -> None:
    await owner.execute(f"DROP TABLE core.system_metrics_{clock.now():%Y_%m}")
    with pytest.raises(asyncpg.CheckViolationError):
        await watch.look()
    assert watch.told("partition") == ["fired"]
    async with watch.house.database.write() as db:
        await partitions.keep_ahead(db, Apps(watch.house.apps))
    await watch.look()
    assert watch.told("partition") == TIMES


async def test_what_passes_before_its_time_is_told_to_nobody(database: TestDatabase) -> None:
    now, full = clock.now(), [Reading("server 1", 0.95, "95 %")]
    async with watched(database, alerts={}) as watch:
        rules = [rule for rule in RULES if rule.name == "pool"]

        async def judged(seconds: float, readings: list[Reading] | None) -> None:
            async with watch.house.database.write() as db:
                await judge(db, watch.house.settings, rules, {"pool": readings}, now + timedelta(seconds=seconds))
            await deliver(watch.house.database, watch.house.settings)

        await judged(0, full)
        await judged(59, full)
        await judged(59, [])
        await judged(60, full)
        await judged(119, full)
        assert watch.told("pool") == []
        await judged(120, None)  # not known
        await judged(121, full)
        assert watch.told("pool") == ["fired"]
        await judged(180, None)
        assert watch.told("pool") == ["fired"]
        await judged(240, [])
        assert watch.told("pool") == TIMES


def test_a_rule_that_is_not_there_cannot_be_set(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="there is no rule 'disk'"):
        rules_of(Settings(home=tmp_path, alerts={"disk": AlertSettings(hold=1)}))


async def lags(owner: asyncpg.Connection, replica: asyncpg.Connection) -> None:
    """Pauses the replica, and writes for almost a second what it then has not got."""
    await replica.execute("SELECT pg_wal_replay_pause()")
    while await replica.fetchval("SELECT pg_get_wal_replay_pause_state()") != "paused":
        await asyncio.sleep(0.02)
    for number in range(8):
        await owner.execute("INSERT INTO core.leases VALUES ($1, $2, now())", str(number), new_id())
        await asyncio.sleep(0.1)


async def until_resolved(watch: Watch, owner: asyncpg.Connection, rule: str) -> None:
    """Looks again and again, while something is written."""
    async with asyncio.timeout(20):
        while "resolved" not in watch.told(rule):
            await owner.execute("UPDATE core.leases SET expires_at = now()")
            await asyncio.sleep(0.2)
            await watch.look()


async def test_a_replica_that_is_gone_is_told_until_it_is_back_and_its_lag_is_not_over_meanwhile(
    cluster: Cluster, database: TestDatabase, owner: asyncpg.Connection
) -> None:
    lag = AlertSettings(threshold=0.5, hold=0)
    name = await owner.fetchval("SELECT current_database()")
    with followed(cluster) as standby:
        replica = await asyncpg.connect(standby.address("postgres", name))
        address = standby.address(ROLE, name)
        async with watched(database, alerts=changed(lag=lag), database_read_replica_url=address) as watch:
            await lags(owner, replica)
            await watch.look()
            assert (watch.told("lag"), watch.told("replica")) == (["fired"], [])
            replica.terminate()
            standby.kill()
            await watch.look()
            await watch.look()
            assert (watch.told("lag"), watch.told("replica")) == (["fired"], ["fired"])
            (told,) = [each["data"]["told"] for each in watch.posts if each["data"]["rule"] == "replica"]
            assert told.startswith("does not answer")
            standby.start()
            for rule in ("replica", "lag"):
                await until_resolved(watch, owner, rule)
                assert watch.told(rule) == TIMES


async def test_a_replica_that_is_taken_out_of_the_settings_takes_its_incidents_along(
    cluster: Cluster, database: TestDatabase, owner: asyncpg.Connection
) -> None:
    nowhere = f"postgresql://{ROLE}@127.0.0.1:{free_port()}/nowhere"
    async with watched(database, alerts=changed(), database_read_replica_url=nowhere) as watch:
        await watch.look()
        assert watch.told("replica") == ["fired"]
    async with watched(database, alerts=changed()) as watch:
        await watch.look()
        assert watch.told("replica") == ["resolved"]


async def test_a_replica_that_falls_behind_is_told_until_it_has_caught_up(
    cluster: Cluster, database: TestDatabase, owner: asyncpg.Connection
) -> None:
    lag = AlertSettings(threshold=0.5, hold=0)
    name = await owner.fetchval("SELECT current_database()")
    with followed(cluster) as standby:
        replica = await asyncpg.connect(standby.address("postgres", name))
        async with watched(database, alerts=changed(lag=lag)) as watch:
            await lags(owner, replica)
            await watch.look()
            assert watch.told("lag") == ["fired"]
            await replica.execute("SELECT pg_wal_replay_resume()")
            where = await owner.fetchval("SELECT pg_current_wal_lsn()::text")
            while not await replica.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", where):
                await asyncio.sleep(0.02)
            await until_resolved(watch, owner, "lag")
        await replica.close()
