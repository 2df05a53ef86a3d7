"""Two processes with one database and one Redis: one query for both, and no answer that a write has made untrue."""

import asyncio
import random
from time import monotonic

import asyncpg

from entrepot.kernel.cache.busts import forget
from entrepot.kernel.cache.follower import POLL
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import Settings
from tests.kernel.cache.larder import RAISE, larder, lookups
from tests.kernel.cache.teller import Teller, Told, two_tellers

SOON = 3.0  # seconds in which a process hears of a write on a machine that is busy with other tests
THINGS = 30


async def test_a_thousand_readers_in_two_processes_make_one_query(shared: Settings, owner: asyncpg.Connection) -> None:
    async with two_tellers(shared, 30) as both:
        told = await asyncio.gather(*(each.ask("look", thing=1, slowness=0.2, times=500) for each in both))
        assert {each.version for each in told} == {0}
        assert await lookups(owner, 1) == 1
        assert [(await each.ask("far_hits")).version for each in both].count(0) == 1


async def test_a_thousand_readers_of_an_expiring_thing_renew_it_once(
    shared: Settings, owner: asyncpg.Connection
) -> None:
    async with two_tellers(shared, 6) as both:
        for each in both:
            await each.ask("look", thing=1)
        assert await lookups(owner, 1) == 1
        await asyncio.sleep(5.42)
        told = await asyncio.gather(*(each.ask("look", thing=1, slowness=1.5, times=500) for each in both))
        assert all(each.ended - each.began < 1 for each in told), "they waited for the renewal"
        await asyncio.sleep(1.7)
        await asyncio.gather(*(each.ask("look", thing=1, slowness=1.5, times=500) for each in both))
        assert await lookups(owner, 1) == 2


async def test_an_answer_grows_no_younger_by_going_through_redis(shared: Settings) -> None:
    async with larder(shared, ttl=2) as one, larder(shared, ttl=2) as two:
        await asyncio.sleep(POLL + 0.5)  # until then, two does not trust what one keeps
        await one.look(1)
        began = monotonic()
        async with one.database.write() as db:
            await db.value(RAISE, thing=1)
        await asyncio.sleep(1.2)
        assert await two.look(1) == 0
        assert two.cache.counts.far_hits == 1
        await asyncio.sleep(began + 2.1 - monotonic())
        assert await two.look(1) == 1


async def test_who_starts_later_does_not_trust_what_was_kept_before_a_write_that_it_never_heard_of(
    shared: Settings,
) -> None:
    async with larder(shared, ttl=30) as one:
        await one.look(1)
        async with Database(shared.database_url, shared) as elsewhere, elsewhere.write() as db:
            await db.value(RAISE, thing=1)
            await forget(db, one.kind, [1])
        async with larder(shared, ttl=30) as two:
            assert await two.look(1) == 1


async def test_no_read_is_older_than_a_write_that_all_have_had_time_to_hear_of(shared: Settings) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with two_tellers(shared, 60) as tellers:
        started = monotonic()
        ends = started + 4 + SOON
        plans = [[chance.uniform(0, 4) for _ in range(2)] for _ in range(THINGS)]
        writers = [_write(tellers, thing, sorted(plan), started, chance) for thing, plan in enumerate(plans)]
        readers = [_read(tellers, chance, ends) for _ in range(12)]
        done = await asyncio.gather(*writers, *readers)
    writes: dict[int, dict[int, tuple[int, float]]] = {thing: {} for thing in range(THINGS)}
    for thing, process, told in (each for part in done[:THINGS] for each in part):
        writes[thing][told.version] = (process, told.ended)
    reads = [each for part in done[THINGS:] for each in part]
    assert len(reads) > 500
    for thing, process, told in reads:
        for version, (writer, ended) in writes[thing].items():
            patience = 0.0 if writer == process else SOON
            assert told.version >= version or told.began < ended + patience, (thing, process, told, version, ended)


History = list[tuple[int, int, Told]]
"""The thing, the process that was asked, and what it told."""


async def _write(
    tellers: list[Teller], thing: int, when: list[float], started: float, chance: random.Random
) -> History:
    """Writes at these times, through either process."""
    found: History = []
    for moment in when:
        await asyncio.sleep(max(0.0, started + moment - monotonic()))
        process = chance.randrange(2)
        found.append((thing, process, await tellers[process].ask("write", thing=thing)))
    return found


async def _read(tellers: list[Teller], chance: random.Random, ends: float) -> History:
    """Reads until then, now and then so slowly that writes are committed meanwhile."""
    found: History = []
    while monotonic() < ends:
        thing, process = chance.randrange(THINGS), chance.randrange(2)
        slowness = chance.choice((0.0, 0.0, 0.02, 0.3))
        found.append((thing, process, await tellers[process].ask("look", thing=thing, slowness=slowness)))
        await asyncio.sleep(chance.uniform(0, 0.02))
    return found
