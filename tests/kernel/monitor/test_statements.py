"""Latency of statements: percentiles from means and deviations, slow statements with their plans."""

import random
import statistics

import asyncpg
import pytest

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.monitor import operations, statements
from entrepot.kernel.monitor.statements import Latency, Statements, Total
from tests.conftest import TestDatabase, settings_for

NAP = Query("SELECT pg_sleep(:seconds)")
SLOW_FIND = Query("SELECT title, pg_sleep(0.25) FROM (SELECT 'x' AS title) t WHERE title = :title")


def totals(*times: list[float]) -> Latency:
    return Latency(tuple(Total(len(each), sum(each), sum(t * t for t in each)) for each in times))


def test_statements_that_take_always_as_long_are_told_exactly() -> None:
    latency = totals([1.0] * 90, [50.0] * 6, [400.0] * 4)
    assert latency.quantile(0.50) == pytest.approx(1.0, rel=0.002)
    assert latency.quantile(0.95) == pytest.approx(50.0, rel=0.002)
    assert latency.quantile(0.99) == pytest.approx(400.0, rel=0.002)
    assert latency.share_above(200) == pytest.approx(0.04)


def test_percentiles_of_statements_that_vary_are_near_the_true_ones() -> None:
    dice = random.Random(11)
    times = [[dice.lognormvariate(mu, 0.8) for _ in range(4_000)] for mu in (-1, 0.5, 3)]
    latency = totals(*times)
    everything = sorted(each for some in times for each in some)
    for share in (50, 95, 99):
        true = statistics.quantiles(everything, n=100)[share - 1]
        assert latency.quantile(share / 100) == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize("statement_cache", [1024, 0])
async def test_without_counters_the_rest_is_told_also_behind_a_pooler(
    database: TestDatabase, owner: asyncpg.Connection, statement_cache: int
) -> None:
    await owner.execute("DROP EXTENSION pg_stat_statements")
    settings = settings_for(database, statement_cache=statement_cache)
    async with Database(database.url, settings) as pool, pool.read() as db:
        told = await operations.queries(db)
        assert (told.p50, told.slow) == (None, [])
        assert told.transactions > 0


async def test_only_what_came_since_the_last_look_counts(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database)) as pool, pool.read() as db:
        await db.value(NAP, seconds=0.3)
        look = Statements()
        assert await look.latency(db) is None
        for _ in range(20):
            await db.value(NAP, seconds=0)
        latency = await look.latency(db)
        assert latency is not None
        assert latency.share_above(200) == pytest.approx(0, abs=0.001)
        assert latency.calls >= 20


async def test_a_slow_statement_is_told_with_its_plan(database: TestDatabase) -> None:
    async with Database(database.url, settings_for(database)) as pool, pool.read() as db:
        await db.value(SLOW_FIND, title="x")
        for _ in range(2):  # what explains leaves nothing behind
            found = {each.query: each for each in await statements.slowest(db)}
        slow = found[next(query for query in found if "title" in query)]
        assert slow.calls == 1
        assert slow.longest > 250
        assert any("Result" in line or "Subquery" in line for line in slow.plan)


async def test_a_statement_that_writes_is_explained_and_not_executed(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    write = "INSERT INTO core.leases (name, owner, expires_at) VALUES ($1, $2, now())"
    async with Database(database.url, settings_for(database)) as pool, pool.read() as db:
        assert "Insert on leases" in (await statements.plan(db, write))[0]
        assert await statements.plan(db, "SELECT interval $1") == []  # a constant's place that no value can take
        assert await db.value(Query("SELECT 1")) == 1
    assert await owner.fetchval("SELECT count(*) FROM core.leases") == 0
