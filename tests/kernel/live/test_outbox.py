"""The outbox: whoever reads it gets every row of every transaction that committed, once, however late it commits."""

import asyncio
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.work import outbox
from entrepot.kernel.work.outbox import Letter, Place, Snapshot, publish
from tests.conftest import TestDatabase, settings_for
from tests.kernel.live.radio import Said, say

TOPICS = ("radio:one", "radio:two")


@pytest.fixture
async def doors(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database(database.url, settings_for(database, pool_size=10)) as made:
        yield made


async def here(doors: Database) -> Place:
    """The place of somebody who has read everything."""
    async with doors.read() as db:
        return Place.after((await outbox.now(db)).snapshot)


async def read(doors: Database, place: Place, most: int = 100, topics: tuple[str, ...] = TOPICS) -> list[list[str]]:
    """Every row after a place, as [cursor, word]; the cursor has been to a client and back."""
    found = []
    async with doors.read() as db:
        for window in place.windows((await outbox.now(db)).snapshot):
            at = window
            while rows := await outbox.page(db, at, most, topics):
                for row in rows:
                    at = Place(window.base, window.upto, row["id"])
                    found.append([str(at), row["body"].decode().split('"')[-2]])
    return found


async def words(doors: Database, place: Place) -> list[str]:
    return [word for _, word in await read(doors, place)]


async def test_a_row_of_a_slow_transaction_is_not_passed_over(doors: Database) -> None:
    """The trap: it has the lower number and is committed after the higher one was read."""
    began = await here(doors)
    async with doors.write() as slow:
        await publish(slow, [Letter("radio:one", Said("slow"))])
        await say(doors, "quick")
        first = await read(doors, began)
        assert [word for _, word in first] == ["quick"], "it waits for nobody"
    after_quick = Place.parse(first[-1][0])
    assert await words(doors, after_quick) == ["slow"]
    assert await words(doors, began) == ["slow", "quick"]
    assert await words(doors, await here(doors)) == []


async def say_and_fail(doors: Database, *words: str) -> None:
    """Says words in a transaction that is rolled back."""
    async with doors.write() as db:
        await publish(db, [Letter("radio:one", Said(word)) for word in words])
        await db.run(Query("INSERT INTO core.outbox (topic) VALUES ('no body')"))


async def test_what_is_rolled_back_was_never_said(doors: Database) -> None:
    began = await here(doors)
    with pytest.raises(asyncpg.NotNullViolationError):
        await say_and_fail(doors, "never")
    await say(doors, "said")
    assert await words(doors, began) == ["said"]


async def test_a_reader_that_stops_anywhere_goes_on_with_the_next_row(doors: Database) -> None:
    """Random transactions that overlap, and a reader that reads by small pages and forgets all but a cursor."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"{seed=}")
    dice = random.Random(seed)
    place, heard, said = await here(doors), [], []

    async def speak(number: int) -> None:
        kept = [f"{number}.{each}" for each in range(dice.randint(1, 4))]
        if dice.random() < 0.2:
            with pytest.raises(asyncpg.NotNullViolationError):
                await say_and_fail(doors, *kept)
            return
        async with doors.write() as db:
            for word in kept:
                await publish(db, [Letter(dice.choice(TOPICS), Said(word))])
                await asyncio.sleep(dice.random() * 0.02)
        said.extend(kept)

    speaking = [asyncio.create_task(speak(number)) for number in range(150)]
    while True:
        is_over = all(task.done() for task in speaking)
        rows = await read(doors, place, most=dice.randint(1, 5))
        taken = rows[: len(rows) if is_over else dice.randint(0, len(rows))]
        heard += [word for _, word in taken]
        place = Place.parse(taken[-1][0]) if taken else place
        if is_over:
            break
    assert sorted(heard) == sorted(said), "every word of a committed transaction once"
    for number in {word.split(".")[0] for word in said}:
        of_one = [word for word in heard if word.split(".")[0] == number]
        assert of_one == sorted(of_one), "those of one transaction in their order"


async def test_only_the_topics_that_are_asked_for_are_read(doors: Database) -> None:
    began = await here(doors)
    await say(doors, "one")
    await say(doors, "two", station="two")
    assert [word for _, word in await read(doors, began, topics=("radio:two",))] == ["two"]


async def test_who_catches_up_reads_both_topics_of_a_letter_by_their_indexes(
    doors: Database, owner: asyncpg.Connection
) -> None:
    """A day of a market's letters lies there, and a few of them are for this reader."""
    began = await here(doors)
    await owner.execute(
        "INSERT INTO core.outbox (topic, also, body) SELECT 'radio:' || n, 'radio:' || n + 1, '{}'"
        " FROM generate_series(1, 20000) n; ANALYZE core.outbox"
    )
    window = Place(began.base, (await here(doors)).base, 0)
    bounds = [window.base.xmax, list(window.base.xip), window.upto.xmax, list(window.upto.xip), 0]
    for query in (outbox.OF_TOPICS, outbox.CHANGES):
        given = dict(zip(("base_xmax", "base_xip", "upto_xmax", "upto_xip", "row"), bounds, strict=True))
        plan = await owner.fetch("EXPLAIN " + query.sql, *query.bind({**given, "topics": ["radio:7"], "most": 500}))
        told = "\n".join(row[0] for row in plan)
        assert "idx_outbox_topic" in told, told
        assert "idx_outbox_also" in told, told
    async with doors.read() as db:
        assert [row["topic"] for row in await outbox.page(db, window, 500, ["radio:7"])] == ["radio:6", "radio:7"]


async def test_what_is_a_day_old_is_forgotten_and_known_to_be(doors: Database, owner: asyncpg.Connection) -> None:
    old = await here(doors)
    await say(doors, "old")
    middle = await here(doors)
    await owner.execute("UPDATE core.outbox SET created_at = now() - interval '25 hours'")
    await say(doors, "new")
    await outbox.purge_outbox(doors)
    assert await words(doors, old) == ["new"]
    async with doors.read() as db:
        assert not await outbox.is_kept(db, old)
        assert await outbox.is_kept(db, middle)


async def test_whoever_deletes_the_loss_is_known(doors: Database, owner: asyncpg.Connection) -> None:
    old = await here(doors)
    await say(doors, "gone")
    await owner.execute("DELETE FROM core.outbox")
    await owner.execute("DELETE FROM core.outbox")  # of nothing, which changes nothing
    async with doors.read() as db:
        assert not await outbox.is_kept(db, old)
        assert await outbox.is_kept(db, Place.after((await outbox.now(db)).snapshot))


async def test_a_crowd_of_commits_rings_a_few_bells(doors: Database, owner: asyncpg.Connection) -> None:
    heard: list[str] = []
    await owner.add_listener("entrepot", lambda *told: heard.append(str(told[3])))
    await asyncio.gather(*(say(doors, f"{number}") for number in range(200)))
    await asyncio.sleep(0.1)
    assert 1 <= len(heard) < 60
    before = len(heard)
    async with doors.write() as db:
        await db.run(outbox.PURGE_OLD, most=1)
    await asyncio.sleep(0.1)
    assert len(heard) == before, "a commit that published nothing wakes nobody"


async def test_commits_that_follow_each_other_share_bells(doors: Database, owner: asyncpg.Connection) -> None:
    heard: list[str] = []
    await owner.add_listener("entrepot", lambda *told: heard.append(str(told[3])))

    async def speak(writer: int) -> None:
        for number in range(50):
            await say(doors, f"{writer}.{number}")

    await asyncio.gather(*(speak(writer) for writer in range(4)))
    await asyncio.sleep(0.1)
    print(f"{len(heard)} bells of 200 commits")
    assert 1 <= len(heard) < 80


@pytest.mark.parametrize("text", ["7:7:", "7:9:7,8", "7:7:~9:12:10~3"])
def test_a_place_survives_being_written_down(text: str) -> None:
    assert str(Place.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "7", "7:7", "9:7:", "7:9:9", "7:9:6", "7:7:~8:8:", "7:7:~8:8:~x", "-1:7:", "7:7:7", "²:7:", f"1:{2**63}:"],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Place.parse(text)


def test_a_snapshot_is_read_as_postgresql_writes_it() -> None:
    assert Snapshot.parse("10:20:10,14,15") == Snapshot(10, 20, (10, 14, 15))
