"""`entrepot doctor` tells what monitoring found, with what mends it."""

import asyncpg
import pytest

from entrepot.commands import doctor
from entrepot.kernel import clock
from entrepot.kernel.settings import AlertSettings
from tests.conftest import TestDatabase, settings_for
from tests.kernel.monitor.watch import changed, watched


async def found(database: TestDatabase) -> dict[str, tuple[str, str, str]]:
    told = await doctor.collect(doctor.monitoring(settings_for(database)))
    return {each.name: (each.state, each.found, each.mend) for each in told}


async def test_a_market_without_fault_is_told_so(database: TestDatabase) -> None:
    assert await found(database) == {"monitoring": ("good", "15 alert rules, and nothing to tell", "")}


async def test_an_alert_that_lasts_an_index_and_a_partition_are_told_with_their_mends(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    short = changed(transaction=AlertSettings(threshold=0, hold=0))
    async with watched(database, alerts=short) as watch, owner.transaction():
        await owner.execute("SELECT 1")
        await watch.look()
    await owner.execute("CREATE INDEX twin ON core.sessions (wallet)")
    await owner.execute(f"DROP TABLE core.system_metrics_{clock.now():%Y_%m}")
    told = await found(database)
    assert told["alert"][0] == "bad"
    assert told["alert"][1].startswith("transaction: process ")
    assert told["alert"][2] == "docs/operations/runaway-query.md"
    assert told["index"][0] == "bad"
    assert told["index"][2].startswith("DROP INDEX CONCURRENTLY core.")
    assert told["partition"][2] == "entrepot migrate up"
    assert "monitoring" not in told


@pytest.mark.parametrize("statement", ["DROP EXTENSION pg_stat_statements"])
async def test_statements_that_nobody_counts_are_told(
    statement: str, database: TestDatabase, owner: asyncpg.Connection
) -> None:
    await owner.execute(statement)
    assert (await found(database))["statements"][0] == "note"
