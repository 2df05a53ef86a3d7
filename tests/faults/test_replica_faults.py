"""A replica is paused, stopped, killed and rebuilt under load: no session misses its own write or goes back in time."""

import asyncio
import os
from collections.abc import Iterator
from random import Random

import pytest

from entrepot.dev import postgres
from entrepot.dev.standby import Standby
from tests.conftest import TestDatabase
from tests.kernel.conftest import Serve, serve
from tests.kernel.followed import Session, faults, followed, is_up, on, primary, replica_of

__all__ = ["serve"]
IS_FULL = os.environ.get("FAULTS") == "full"
SESSIONS = 50
ROUNDS = 10 if IS_FULL else 1


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Server]:
    with primary() as server:
        yield server


@pytest.fixture(scope="module")
def standby(cluster: postgres.Server) -> Iterator[Standby]:
    with followed(cluster) as made:
        yield made


async def trouble(standby: Standby, random: Random) -> None:
    """Once each, in any order."""

    async def pause() -> None:
        await on(standby, "SELECT pg_wal_replay_pause()")
        await asyncio.sleep(0.7)
        await on(standby, "SELECT pg_wal_replay_resume()")

    async def stop() -> None:
        await asyncio.to_thread(standby.stop)

    async def kill() -> None:
        await asyncio.to_thread(standby.kill)

    async def rebuild() -> None:
        await asyncio.to_thread(standby.stop)
        await asyncio.to_thread(standby.build)

    for each in random.sample([pause, stop, kill, rebuild], 4):
        await asyncio.sleep(random.uniform(0.3, 0.8))
        await each()
        if not standby.is_running:
            await asyncio.sleep(random.uniform(0, 0.4))
            await asyncio.to_thread(standby.start)


async def test_no_session_misses_its_write_or_goes_back_whatever_becomes_of_the_replica(
    serve: Serve, standby: Standby, database: TestDatabase
) -> None:
    seed = int(os.environ.get("SEED", Random().randrange(10**6)))
    print(f"SEED={seed}")
    random = Random(seed)
    async with serve(database_read_replica_url=replica_of(standby, database), pool_size=20) as client:
        await is_up(client)
        names = [f"of {number}" for number in range(SESSIONS)]
        sessions = [Session(client, name) for name in names]
        await asyncio.gather(*(session.add() for session in sessions))
        over = asyncio.Event()
        lives = [asyncio.ensure_future(each.lives(names, over, Random(seed + n))) for n, each in enumerate(sessions)]
        for _ in range(ROUNDS):
            await trouble(standby, random)
        over.set()
        await asyncio.gather(*lives)
        told = client.house.database.replicas.served
    print(f"{sum(len(each.history) for each in sessions)} calls; causal reads: {told}")
    assert [error for each in sessions for error in each.errors] == []
    assert [found for each in sessions for found in faults(each.history)] == []
    assert told["replica"] > 0
    assert told["behind"] + told["failed"] > 0, "nothing went wrong, so nothing was tried"


def test_the_checker_finds_a_lost_write_and_a_step_back() -> None:
    assert faults([("a", 1, True), ("a", 1, False), ("b", 7, False), ("a", 2, True), ("b", 8, False)]) == []
    assert len(faults([("a", 2, True), ("a", 1, False)])) == 1
    assert len(faults([("b", 8, False), ("a", 1, True), ("b", 7, False)])) == 1
