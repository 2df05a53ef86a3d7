"""Whispers: heard at once by whoever listens now, in any process, once; kept by nobody and missed by nothing."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from entrepot.kernel.work import whispers
from entrepot.kernel.work.whispers import Whispers
from tests.conftest import TestDatabase
from tests.kernel.conftest import WALLET
from tests.kernel.live.club import OTHER, Club, Hummed, branch, opened, prepare, say


@pytest.fixture
async def club(database: TestDatabase, owner: asyncpg.Connection) -> AsyncIterator[Club]:
    await prepare(owner, WALLET, OTHER)
    await owner.execute("INSERT INTO club.members VALUES ('bar', $1), ('bar', $2)", WALLET, OTHER)
    async with opened(database) as made:
        yield made


async def test_a_whisper_is_heard_in_every_process_once_and_not_stored(
    club: Club, database: TestDatabase, owner: asyncpg.Connection
) -> None:
    async with branch(database) as there, club.seat() as near, there.seat(OTHER) as far, there.seat() as mine:
        for tune in ("la", "la", "li"):  # equal ones are whispers of their own
            assert (await near.call("hum", room="bar", word=tune))["status"] == 204
        assert await far.told(until="li") == ["la", "la", "li"]
        await far.call("hum", room="bar", word="from afar")
        told = ["la", "la", "li", "from afar"]
        assert await near.told(until="from afar") == told
        assert await mine.told(until="from afar") == told, "it follows both topics of it"
        await club.run(say, OTHER, "bar", word="end")
        assert await mine.told(until="end") == ["end"]
    assert await owner.fetchval("SELECT count(*) FROM core.outbox") == 1


async def test_a_whisper_has_no_cursor_and_is_not_for_those_who_come_later(club: Club) -> None:
    assert club.house is not None
    async with club.seat() as seat:
        cursor = seat.cursor
        club.house.whispers.say("room:bar", Hummed("la"))
        assert await seat.frame() == {"kind": "hummed", "tune": "la"}
    async with club.seat(after=cursor) as again:
        await club.run(say, OTHER, "bar", word="end")
        assert await again.told(until="end") == ["end"]


async def test_many_whispers_travel_in_few_notices_each_of_which_fits(club: Club, owner: asyncpg.Connection) -> None:
    payloads: list[str] = []
    await owner.add_listener(whispers.CHANNEL, lambda *told: payloads.append(str(told[3])))
    assert club.house is not None
    for number in range(500):
        club.house.whispers.say("room:bar", Hummed(f'"{number}" é\u0000 ' + "x" * (number % 300)))
    await asyncio.sleep(0.5)
    assert max(len(each.encode()) for each in payloads) <= whispers.LONGEST
    assert 12 < len(payloads) < 40
    heard: list[str] = []
    other = Whispers(club.house.database)
    other.heard_by.append(lambda whisper: heard.append(whisper.frame))
    for each in payloads:
        other.hear(each)
    assert len(heard) == 500
    club.house.whispers.say("room:bar", Hummed("x" * whispers.LONGEST))
    await asyncio.sleep(0.1)
    assert len(payloads) < 40, "what is too long is said to nobody"


async def test_without_a_database_a_whisper_is_lost_elsewhere_and_nobody_waits(
    club: Club, owner: asyncpg.Connection
) -> None:
    assert club.house is not None
    async with club.seat() as seat:
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        began = time.monotonic()
        for number in range(3_000):
            club.house.whispers.say("room:bar", Hummed(str(number)))
        assert time.monotonic() - began < 2
        assert (await seat.told(until="2999"))[-1] == "2999", "it is heard here all the same"


LISTENS = f"""SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
    AND query ILIKE 'LISTEN%{whispers.CHANNEL}%')"""


@pytest.mark.parametrize("payload", ["", "{}", "[1,2]", '["other",1,[["topic"]]]'])
async def test_what_is_no_whisper_is_passed_over(club: Club, owner: asyncpg.Connection, payload: str) -> None:
    async with club.seat() as seat:
        while not await owner.fetchval(LISTENS):  # whispers are not kept for who listens a moment later
            await asyncio.sleep(0.02)
        whispered = '["other",1,[["room:bar","{\\"kind\\":\\"hummed\\",\\"tune\\":\\"la\\"}"]]]'
        await owner.execute("SELECT pg_notify($1, $2)", whispers.CHANNEL, payload)
        await owner.execute("SELECT pg_notify($1, $2)", whispers.CHANNEL, whispered)
        assert await seat.told(until="la") == ["la"]
