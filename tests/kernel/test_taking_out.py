"""A replica that is taken out twice, while a read that was ended the first time still winds up."""

import asyncio
from contextlib import suppress

from entrepot.kernel.db.causal import Progress
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.replica import Replica, Track
from tests.conftest import TestDatabase, settings_for


async def test_a_read_that_is_slow_to_end_does_not_keep_its_replica_from_being_taken_out_again(
    database: TestDatabase,
) -> None:
    replica, begun, done = Replica(database.url, settings_for(database), Track()), asyncio.Event(), asyncio.Event()

    async def work(db: Read) -> None:
        begun.set()
        try:
            await db.connection.execute("SELECT pg_sleep(10)")
        finally:
            await done.wait()

    async with replica.pool:
        reading = asyncio.create_task(replica.read(Progress(), work))
        await begun.wait()
        replica._lost("it is gone")
        await asyncio.sleep(0.05)
        replica._lost("it still is")
        done.set()
        with suppress(TimeoutError):
            await reading
    assert replica.state == "does not answer: it still is"
