"""Replicas are paused, frozen, stopped, killed and rebuilt under load: no session misses its own write or goes back."""

import asyncio
import os
from random import Random

from entrepot.dev.standby import Standby
from tests.conftest import TestDatabase
from tests.kernel.conftest import Serve, serve
from tests.kernel.followed import Session, cluster, faults, is_up, on, replica_of, second, standby

__all__ = ["cluster", "second", "serve", "standby"]
IS_FULL = os.environ.get("FAULTS") == "full"
SESSIONS = 50
ROUNDS = 10 if IS_FULL else 1
LONGEST = 5.0
"""Seconds that a call may take: a replica that answers nothing is given up after little more than one."""


async def pause(standby: Standby) -> None:
    """It lags."""
    await on(standby, "SELECT pg_wal_replay_pause()")
    await asyncio.sleep(0.7)
    await on(standby, "SELECT pg_wal_replay_resume()")


async def freeze(standby: Standby) -> None:
    """It takes connections and answers nothing."""
    standby.freeze()
    await asyncio.sleep(1.6)
    standby.thaw()


async def stop(standby: Standby) -> None:
    """It says goodbye."""
    await asyncio.to_thread(standby.stop)


async def kill(standby: Standby) -> None:
    """It does not."""
    await asyncio.to_thread(standby.kill)


async def rebuild(standby: Standby) -> None:
    """Another one comes in its place."""
    await asyncio.to_thread(standby.stop)
    await asyncio.to_thread(standby.build)


async def trouble(standby: Standby, random: Random) -> None:
    """Once each, in any order."""
    for each in random.sample([pause, freeze, stop, kill, rebuild], 5):
        await asyncio.sleep(random.uniform(0.3, 0.8))
        await each(standby)
        if not standby.is_running:
            await asyncio.sleep(random.uniform(0, 0.4))
            await asyncio.to_thread(standby.start)


async def test_no_session_misses_its_write_or_goes_back_whatever_becomes_of_the_replicas(
    serve: Serve, standby: Standby, second: Standby, database: TestDatabase
) -> None:
    seed = int(os.environ.get("SEED", Random().randrange(10**6)))
    print(f"SEED={seed}")
    chance = Random(seed)
    urls = ",".join(replica_of(each, database) for each in (standby, second))
    async with serve(database_read_replica_url=urls, pool_size=20) as client:
        await is_up(client)
        names = [f"of {number}" for number in range(SESSIONS)]
        sessions = [Session(client, name) for name in names]
        await asyncio.gather(*(session.add() for session in sessions))
        over = asyncio.Event()
        async with asyncio.TaskGroup() as lives:
            for number, each in enumerate(sessions):
                lives.create_task(each.lives(names, over, Random(seed + number)))
            for _ in range(ROUNDS):
                # Each has its own troubles, so that now and then both are away at once.
                await asyncio.gather(trouble(standby, chance), trouble(second, chance))
            over.set()
        told = client.house.database.replicas.served
    calls, slowest = sum(len(each.history) for each in sessions), max(each.slowest for each in sessions)
    print(f"{calls} calls, the slowest {slowest:.2f} s; causal reads: {told}")
    assert [error for each in sessions for error in each.errors] == []
    assert [found for each in sessions for found in faults(each.history)] == []
    assert told["replica"] > 0
    assert told["behind"] + told["failed"] > 0, "nothing went wrong, so nothing was tried"
    assert slowest < LONGEST, "somebody waited for a replica"


def test_the_checker_finds_a_lost_write_and_a_step_back() -> None:
    assert faults([("a", 1, True), ("a", 1, False), ("b", 7, False), ("a", 2, True), ("b", 8, False)]) == []
    assert len(faults([("a", 2, True), ("a", 1, False)])) == 1
    assert len(faults([("b", 8, False), ("a", 1, True), ("b", 7, False)])) == 1
