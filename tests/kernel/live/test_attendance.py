"""Attendance: an app is told who came and who went, once for all streams of a wallet, whatever becomes of the app."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.kernel.conftest import WALLET
from tests.kernel.live.club import OTHER, Club, Doorman, opened, prepare

HEARTBEAT = 0.2


@pytest.fixture
async def club(database: TestDatabase, owner: asyncpg.Connection) -> AsyncIterator[Club]:
    await prepare(owner, WALLET, OTHER)
    async with opened(database, live_heartbeat=HEARTBEAT) as made:
        yield made


async def until(reached: Callable[[], bool]) -> None:
    """Waits for it, with some patience."""
    async with asyncio.timeout(5):
        while not reached():
            await asyncio.sleep(0.01)


async def test_the_first_stream_comes_the_last_one_goes_and_a_beat_names_all(club: Club) -> None:
    doorman: Doorman = club.kept(Doorman)
    async with club.seat():
        async with club.seat(), club.seat(OTHER):
            await until(lambda: len(doorman.seen) == 2)
            assert sorted(doorman.seen) == sorted([f"came {WALLET}", f"came {OTHER}"])
            await until(lambda: sorted([WALLET, OTHER]) in doorman.still_here)
        await until(lambda: f"went {OTHER}" in doorman.seen)
        assert f"went {WALLET}" not in doorman.seen
    await until(lambda: f"went {WALLET}" in doorman.seen)
    assert len(doorman.seen) == 4


async def test_who_comes_and_goes_quickly_is_told_in_order(club: Club) -> None:
    doorman: Doorman = club.kept(Doorman)
    doorman.pause = 0.05
    for _ in range(5):
        async with club.seat():
            pass
    async with club.seat():
        await until(lambda: bool(doorman.seen) and doorman.seen[-1].startswith("came"))
        await asyncio.sleep(0.2)
        kinds = [each.split()[0] for each in doorman.seen]
        assert kinds == ["came", "went"] * (len(kinds) // 2) + ["came"]


async def test_a_server_that_goes_away_says_who_went(club: Club) -> None:
    doorman: Doorman = club.kept(Doorman)
    async with club.seat(), club.seat(OTHER):
        await until(lambda: len(doorman.seen) == 2)
        assert club.house is not None
        await club.house.live.close()
        assert {f"went {WALLET}", f"went {OTHER}"} <= set(doorman.seen)


async def test_a_doorman_that_fails_or_hangs_is_no_trouble_for_the_streams(
    club: Club, caplog: pytest.LogCaptureFixture
) -> None:
    doorman: Doorman = club.kept(Doorman)
    doorman.is_ill = True
    async with club.seat() as seat:
        await until(lambda: len(doorman.still_here) >= 2)
        assert (await seat.call("wait"))["status"] == 204
        assert "the doorman is ill" in caplog.text
        doorman.is_ill, doorman.pause = False, 60
    async with club.seat() as seat:
        assert (await seat.call("wait"))["status"] == 204
        assert club.house is not None
        async with asyncio.timeout(10):
            await club.house.live.close()
