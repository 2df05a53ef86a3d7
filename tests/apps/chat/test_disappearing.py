"""Messages that disappear are swept away a part at a time, whose cost does not grow with what was swept before."""

import json
from datetime import timedelta
from typing import Any

import pytest

from entrepot.apps.chat.operations.keeping import sweep
from entrepot.apps.chat.store import keeping
from entrepot.kernel import clock
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from tests.apps.chat.archive_box import ArchiveBox
from tests.apps.chat.conftest import Caller, Place

MANY, FEW = 6_000, 20
HOUR = timedelta(hours=1)
KEPT = """
    SELECT count(*) FILTER (WHERE octet_length(ciphertext) > 0) AS whole,
        count(*) FILTER (WHERE octet_length(ciphertext) = 0) AS emptied, min(timestamp) AS oldest
    FROM chat.messages WHERE event IS NULL
"""


@pytest.fixture
async def box(place: Place, doors: Database) -> ArchiveBox:
    return ArchiveBox(place.owner, doors)


async def looked_at(box: ArchiveBox, query: Query) -> int:
    """How many rows of messages the statement reads, whether or not it then does something with them."""
    async with box.owner.transaction():
        await box.owner.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await box.owner.execute(f"PREPARE looked AS {query.sql}")
        plan = await box.owner.fetchval("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE looked (1000)")
        await box.owner.execute("DEALLOCATE looked")
    return read(json.loads(plan)[0]["Plan"])


def read(node: dict[str, Any]) -> int:
    found = sum(read(each) for each in node.get("Plans", ()))
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        found += node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    return round(found)


async def test_a_sweep_looks_at_what_is_due_and_not_at_what_it_has_emptied_within_a_day(
    box: ArchiveBox, doors: Database, alice: Caller, bob: Caller
) -> None:
    now = clock.now()
    await box.months(now - 30 * HOUR, now)
    await box.talk(alice, bob, MANY, now - 30 * HOUR, now)
    await box.owner.execute("UPDATE chat.messages SET expires_at = timestamp + interval '1 second'")
    await box.owner.execute(
        "UPDATE chat.messages SET expires_at = now() + interval '1 hour' WHERE seq > $1", MANY - FEW
    )
    await sweep(doors)
    kept = await box.owner.fetchrow(KEPT)
    assert (kept["whole"], kept["emptied"]) == (FEW, pytest.approx(MANY * 25 / 30 - FEW, abs=2))
    assert kept["oldest"] > now - 25 * HOUR
    await box.owner.execute("UPDATE chat.messages SET expires_at = now() WHERE seq > $1", MANY - FEW)
    await box.owner.execute("VACUUM ANALYZE chat.messages")
    assert FEW <= await looked_at(box, keeping.EMPTY) <= 5 * FEW
    for query in (keeping.REMOVE, keeping.REMOVE_EVENTS):
        assert await looked_at(box, query) <= 5 * FEW
    await sweep(doors)
    assert (await box.owner.fetchrow(KEPT))["whole"] == 0
