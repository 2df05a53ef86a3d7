"""What operators are told of indexes, tables and pools; nobody else is told."""

from typing import Any

import asyncpg

from entrepot.kernel.monitor.reporter import Reporter
from tests.conftest import TestDatabase
from tests.kernel.conftest import OPERATOR, Serve

FILL = """
    CREATE TABLE tally.ends (id bigint, tally text REFERENCES tally.tallies, value text);
    CREATE INDEX unused ON tally.ends (value);
    INSERT INTO tally.ends SELECT n, 'first', md5(n::text) || md5((-n)::text) FROM generate_series(1, 20000) n;
    CREATE UNIQUE INDEX first_of_two ON tally.ends (id);
    CREATE INDEX second_of_two ON tally.ends (id);
    INSERT INTO tally.ends VALUES (20001, 'first', 'b');
    ANALYZE tally.ends;
"""


async def test_the_advice_names_each_fault_of_an_index_and_what_mends_it(
    serve: Serve, owner: asyncpg.Connection
) -> None:
    async with serve() as client:
        await owner.execute(FILL)
        await owner.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tally.first_of_two'::regclass")
        status, told, _ = await client.call("GET", "/monitoring/database/indexes", token=OPERATOR)
        assert status == 200
        ours = {(each["advice"], each["name"]): each["mend"] for each in told["items"] if "tally" in each["table"]}
        assert ours == {
            ("invalid", "tally.first_of_two"): "REINDEX INDEX CONCURRENTLY tally.first_of_two",
            ("missing", "ends_tally_fkey"): "CREATE INDEX CONCURRENTLY ON tally.ends (tally)",
            ("unused", "tally.unused"): "DROP INDEX CONCURRENTLY tally.unused",
        }
        for mend in ours.values():
            await owner.execute(mend)
        _, told, _ = await client.call("GET", "/monitoring/database/indexes", token=OPERATOR)
        found = {each["advice"]: each["name"] for each in told["items"] if "tally" in each["table"]}
        assert found == {"duplicate": "tally.second_of_two"}


async def test_no_index_of_ours_is_invalid_missing_or_duplicate(serve: Serve) -> None:
    async with serve() as client:
        _, told, _ = await client.call("GET", "/monitoring/database/indexes", token=OPERATOR)
        assert [each for each in told["items"] if each["advice"] != "unused"] == []


async def test_tables_tell_their_sizes_and_dead_rows_with_partitions_under_their_table(
    serve: Serve, owner: asyncpg.Connection
) -> None:
    async with serve() as client:
        await owner.execute(FILL)
        await owner.execute("DELETE FROM tally.ends WHERE id <= 5000; SELECT pg_stat_force_next_flush()")
        _, told, _ = await client.call("GET", "/monitoring/database/tables", token=OPERATOR)
        tables = {each["table"]: each for each in told["items"]}
        assert tables["tally.ends"]["dead_rows"] == 5000
        assert 0.2 < tables["tally.ends"]["dead_share"] < 0.3
        assert tables["tally.ends"]["size"] > tables["tally.ends"]["index_size"] > 1_000_000
        assert told["database_size"] > 8_000_000
        assert [name for name in tables if name.startswith("core.system_metrics")] == ["core.system_metrics"]


async def test_the_pool_is_told_of_every_process(serve: Serve, owner: asyncpg.Connection) -> None:
    async with serve(pool_size=3, pool_overflow=1) as client:
        other = Reporter("worker", client.house.database)
        other.more = {"host": "far", "pid": 7}
        other.look()
        await other.report()
        _, told, _ = await client.call("GET", "/monitoring/database/pool", token=OPERATOR)
        assert [each["size"] for each in told["items"]] == [4, 4]
        assert told["items"][0]["in_use"] == 1  # the one that asks
        assert told["items"][1]["process"] == "worker 7 on far"


async def test_a_report_is_one_statement_with_all_that_the_reference_names(
    database: TestDatabase, serve: Serve, owner: asyncpg.Connection
) -> None:
    async with serve() as client:
        reporter = client.house.reporter
        await client.call("GET", "/tally/tallies/first")
        await reporter.report()
    rows: list[Any] = await owner.fetch("SELECT * FROM core.system_metrics")
    units = {row["metric_type"]: row["unit"] for row in rows}
    assert len({row["timestamp"] for row in rows}) == 1
    assert {"cpu": "percent", "memory": "bytes", "latency_p95": "ms", "pool_wait_p99": "ms"}.items() <= units.items()
    values = {row["metric_type"]: row["metric_value"] for row in rows}
    assert values["memory"] > 10_000_000
    assert values["requests"] >= 1


async def test_replication_and_queries_answer_where_there_is_nothing_to_tell(serve: Serve) -> None:
    async with serve() as client:
        assert (await client.call("GET", "/monitoring/database/replication", token=OPERATOR))[1] == {"items": []}
        status, told, _ = await client.call("GET", "/monitoring/database/queries", token=OPERATOR)
        assert status == 200
        assert told["p50"] <= told["p95"] <= told["p99"]
        assert (await client.call("GET", "/monitoring/database/queries"))[0] == 403
