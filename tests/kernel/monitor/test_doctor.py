"""`entrepot doctor` tells what monitoring found, with what mends it."""

import asyncpg
import pytest

from entrepot.commands import doctor
from entrepot.kernel import clock
from tests.conftest import TestDatabase, settings_for

INCIDENT = """
    INSERT INTO core.incidents (id, rule, subject, value, threshold, told, began_at, fired_at)
    VALUES (gen_random_uuid(), 'mirror', 'ethereum 0xab', 61, 50, 'read up to block 2 of 63', now(), now())
"""


async def found(database: TestDatabase) -> dict[str, tuple[str, str, str]]:
    told = await doctor.collect(doctor.monitoring(settings_for(database)))
    return {each.name: (each.state, each.found, each.mend) for each in told}


async def test_a_market_without_fault_is_told_so(database: TestDatabase) -> None:
    assert await found(database) == {"monitoring": ("good", "13 alert rules, and nothing to tell", "")}


async def test_an_alert_that_lasts_an_index_and_a_partition_are_told_with_their_mends(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    await owner.execute(INCIDENT)
    await owner.execute("CREATE INDEX twin ON core.sessions (wallet)")
    await owner.execute(f"DROP TABLE core.system_metrics_{clock.now():%Y_%m}")
    told = await found(database)
    assert told["alert"] == ("bad", "mirror ethereum 0xab: read up to block 2 of 63", "entrepot chain status")
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
