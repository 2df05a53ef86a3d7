"""A lease is kept by one, and whoever cannot keep it stops."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from entrepot.kernel.db.database import Database
from entrepot.kernel.work.lease import held
from tests.conftest import ROLE, TestDatabase, settings_for

SHORT = timedelta(seconds=1.5)


@pytest.mark.parametrize("locked_for", [0.6, 10])
async def test_whoever_may_not_have_the_lock_to_keep_a_lease_asks_again_and_stops_in_time(
    database: TestDatabase, owner: asyncpg.Connection, locked_for: float
) -> None:
    """As while a migration changes the table: the role waits for a lock no longer than its limit, and is refused."""
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER ROLE {ROLE} IN DATABASE {name} SET lock_timeout = '100ms'")

    async def work() -> None:
        async with held(doors, "a", SHORT):
            begun.set()
            await asyncio.sleep(60)

    begun = asyncio.Event()
    async with Database(database.url, settings_for(database)) as doors:
        working = asyncio.create_task(work())
        await begun.wait()
        async with owner.transaction():
            await owner.execute("LOCK TABLE core.leases")
            await asyncio.wait([working], timeout=min(locked_for, 2 * SHORT.total_seconds()))
        has_stopped = locked_for > SHORT.total_seconds()
        await asyncio.wait([working], timeout=1)
        assert working.done() == has_stopped
        if not has_stopped:
            await asyncio.sleep(SHORT.total_seconds())
            assert await owner.fetchval("SELECT expires_at > now() FROM core.leases WHERE name = 'a'")
        working.cancel()
        await asyncio.wait([working])
