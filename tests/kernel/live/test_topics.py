"""Topics that change while one listens: whoever comes into a room hears it from then on, and until it is left."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import Letter, publish
from tests.conftest import TestDatabase
from tests.kernel.conftest import WALLET
from tests.kernel.live.club import (
    OTHER,
    Club,
    Gate,
    InRoom,
    Moved,
    branch,
    join,
    leave,
    opened,
    prepare,
    say,
)
from tests.kernel.live.radio import Said


@pytest.fixture
async def club(database: TestDatabase, owner: asyncpg.Connection) -> AsyncIterator[Club]:
    """The other one is in the room from the beginning, and says what there is to hear."""
    await prepare(owner, WALLET, OTHER)
    await owner.execute("INSERT INTO club.members VALUES ('bar', $1), ('yard', $1)", OTHER)
    async with opened(database) as made:
        yield made


async def says(club: Club, word: str, room: str = "bar") -> None:
    await club.run(say, OTHER, room, word=word)


async def test_a_room_is_heard_from_the_moment_of_joining_to_that_of_leaving(club: Club) -> None:
    async with club.seat() as seat, club.seat() as second:
        await says(club, "before")
        await club.run(join, WALLET, "bar")
        await says(club, "inside")
        await club.run(leave, WALLET, "bar")
        await says(club, "after")
        await club.run(join, WALLET, "yard")
        await says(club, "end", "yard")
        told = ["bar", "inside", "bar", "yard", "end"]
        assert await seat.told(until="end") == told
        assert await second.told(until="end") == told, "another socket of the wallet"
    assert club.house is not None
    assert not club.house.live._readers, "nothing is left of those who went"


async def test_whoever_comes_back_is_told_only_what_was_said_while_being_in_the_room(club: Club) -> None:
    """At the cursor's moment the topics were others than today's, in both directions."""
    await club.run(join, WALLET, "yard")
    async with club.seat() as seat:
        cursor = seat.cursor
    await says(club, "too early")
    await says(club, "in the yard", "yard")
    await club.run(leave, WALLET, "yard")
    await says(club, "not in the yard", "yard")
    await club.run(join, WALLET, "bar")
    await says(club, "in the bar")
    await club.run(leave, WALLET, "bar")
    await says(club, "between")
    await club.run(join, WALLET, "bar")
    await says(club, "end")
    missed = ["in the yard", "yard", "bar", "in the bar", "bar", "bar", "end"]
    async with club.seat(after=cursor) as again:
        heard: list[str] = []
        cursors = []
        for _ in missed:
            heard += await again.told(until=missed[len(heard)])
            cursors.append(again.cursor)
        await says(club, "live")
        assert (heard, await again.told(until="live")) == (missed, ["live"])
    for number, each in enumerate(cursors):  # from anywhere in the middle of it
        async with club.seat(after=each) as later:
            assert await later.told(until="live") == [*missed[number + 1 :], "live"]


async def test_a_room_that_is_entered_between_the_question_and_the_listening_is_heard(club: Club) -> None:
    """And one that is left then is not: the operation has read the rooms, and the socket is not let in yet."""
    await club.run(join, WALLET, "yard")
    gate: Gate = club.kept(Gate)
    gate.is_open.clear()
    gate.reached.clear()
    async with club.seat(ready=False) as seat:
        await asyncio.wait_for(gate.reached.wait(), 5)
        await club.run(leave, WALLET, "yard")
        await club.run(join, WALLET, "bar")
        await says(club, "while the door was shut")
        gate.is_open.set()
        assert (await seat.frame())["kind"] == "ready"
        await says(club, "not heard", "yard")
        await says(club, "heard")
        assert await seat.told(until="heard") == ["heard"]


async def test_a_transaction_that_commits_after_the_question_and_before_the_listening_counts(club: Club) -> None:
    gate: Gate = club.kept(Gate)
    gate.is_open.clear()
    gate.reached.clear()
    assert club.house is not None
    await club.run(join, WALLET, "yard")
    async with club.house.database.write() as slow:
        await join(slow, InRoom(by=Wallet(WALLET), room="bar"))
        await leave(slow, InRoom(by=Wallet(WALLET), room="yard"))
        async with club.seat(ready=False) as seat:
            await asyncio.wait_for(gate.reached.wait(), 5)
            await slow.connection.execute("COMMIT; BEGIN")
            gate.is_open.set()
            assert (await seat.frame())["kind"] == "ready"
            await says(club, "not heard", "yard")
            await says(club, "heard")
            assert await seat.told(until="heard") == ["heard"]


async def test_a_transaction_that_commits_while_one_listens_or_is_away_is_not_lost(club: Club) -> None:
    """It had written before either began, so that its rows have low numbers."""
    assert club.house is not None
    async with club.house.database.write() as slow, club.seat() as stays:
        await join(slow, InRoom(by=Wallet(WALLET), room="bar"))
        async with club.seat() as leaves:
            await says(club, "elsewhere", "yard")
            left_with = leaves.cursor
        await slow.connection.execute("COMMIT; BEGIN")
        await says(club, "word")
        assert await stays.told(until="word") == ["bar", "word"]
        async with club.seat(after=left_with) as again:
            assert await again.told(until="word") == ["bar", "word"]
            await says(club, "more")
            assert await again.told(until="more") == ["more"]


async def test_who_reads_both_topics_of_a_letter_is_told_once(club: Club) -> None:
    await club.run(join, WALLET, "bar")
    assert club.house is not None
    async with club.seat() as seat, club.seat(OTHER) as other:
        cursor = seat.cursor
        async with club.house.database.write() as db:
            await publish(db, [Letter(f"club:{WALLET}", Said("both"), also="room:bar")])
            await publish(db, [Letter("room:nowhere", Said("second"), also=f"club:{WALLET}")])
        await says(club, "end")
        assert await seat.told(until="end") == ["both", "second", "end"]
        assert await other.told(until="end") == ["both", "end"]
    async with club.seat(after=cursor) as again:
        assert await again.told(until="end") == ["both", "second", "end"]


async def test_only_letters_to_a_topic_of_ones_own_open_others(club: Club) -> None:
    """What is said in a room is others' words, and nobody is led elsewhere by them."""
    await club.run(join, WALLET, "bar")
    assert club.house is not None
    async with club.seat() as seat:
        cursor = seat.cursor
        async with club.house.database.write() as db:
            await publish(db, [Letter("room:bar", Moved("a trap"), opens="room:yard", closes=f"club:{WALLET}")])
        await says(club, "not heard", "yard")
        await says(club, "end")
        assert await seat.told(until="end") == ["a trap", "end"]
    async with club.seat(after=cursor) as again:
        assert await again.told(until="end") == ["a trap", "end"]


async def test_another_process_of_the_market_changes_them_too(club: Club, database: TestDatabase) -> None:
    async with branch(database) as there, there.seat() as far, club.seat() as near, there.seat(OTHER) as other:
        assert (await far.call("join", room="bar"))["status"] == 204
        assert (await other.call("say", room="bar", word="hello"))["status"] == 201
        assert await near.told(until="hello") == ["bar", "hello"]
        assert (await near.call("leave", key="k", room="bar"))["status"] == 204
        await says(club, "behind your back")
        assert (await near.call("join", room="yard"))["status"] == 204
        await says(club, "end", "yard")
        assert await far.told(until="end") == ["bar", "hello", "bar", "yard", "end"]


async def test_members_who_come_and_go_at_random_hear_what_was_theirs(club: Club, database: TestDatabase) -> None:
    """Six rooms at once, heard over sockets in two processes that are let go of again and again."""
    seats = 6
    async with branch(database) as there:
        await asyncio.gather(*(wander(club, there if seat % 2 else club, seat) for seat in range(seats)))


async def wander(club: Club, where: Club, number: int) -> None:
    """Comes into a room and leaves it again, while the other one talks there, and listens with interruptions."""
    room, said = f"room {number}", []
    assert club.house is not None
    async with club.house.database.write() as db:
        await db.connection.execute("INSERT INTO club.members VALUES ($1, $2)", room, OTHER)
    async with where.seat() as seat:
        cursor = seat.cursor
    listening = asyncio.create_task(listen_on(where, cursor, room))
    for turn in range(6):
        await says(club, f"{room}: outside {turn}", room)
        await club.run(join, WALLET, room)
        for word in (f"{room}: {turn}", f"{room}: {turn} again"):
            await says(club, word, room)
            said.append(word)
        if turn < 5:
            await club.run(leave, WALLET, room)
    await says(club, f"{room}: end", room)
    assert await listening == [*said, f"{room}: end"]


async def listen_on(where: Club, cursor: str, room: str) -> list[str]:
    """All that is told of one room, over a socket that is let go of after every few frames."""
    heard: list[str] = []
    while True:
        async with where.seat(after=cursor) as seat:
            for _ in range(5):
                told = await seat.frame(10)
                assert told, f"the stream ended with {seat.close}"
                cursor = seat.cursor
                if told["kind"] == "said" and told["word"].startswith(f"{room}: "):
                    heard.append(told["word"])
                if told.get("word") == f"{room}: end":
                    return heard


async def test_ten_thousand_topics_are_heard_and_caught_up_with(club: Club, owner: asyncpg.Connection) -> None:
    await owner.execute("INSERT INTO club.members SELECT 'r' || n, $1 FROM generate_series(1, 10001) n", WALLET)
    await owner.execute("INSERT INTO club.members SELECT 'r' || n, $1 FROM generate_series(1, 10001) n", OTHER)
    began = time.monotonic()
    async with club.seat() as seat:
        cursor = seat.cursor
        for number in (1, 5_000, 10_001):
            await says(club, str(number), f"r{number}")
        assert await seat.told(until="10001") == ["1", "5000", "10001"]
    async with club.seat(after=cursor) as again:
        assert await again.told(until="10001") == ["1", "5000", "10001"]
    assert time.monotonic() - began < 5
