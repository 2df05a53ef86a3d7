"""Forty people in eight processes write through three servers; servers, clients and database connections are killed.

Every acknowledged message is heard once by each who was there then, in order, without a gap, and by nobody else. Who
was killed goes on from their journal, and sends again what was not acknowledged, under the same id.
`make faults` runs it in full (FAULTS=full): 50,000 messages.
"""

import asyncio
import os
import random
from pathlib import Path
from time import monotonic

import pytest

from entrepot.apps.chat.app import APP
from tests.conftest import TestDatabase
from tests.faults.chat_histories import faults
from tests.faults.post import PEOPLE, Post, opened

IS_FULL = os.environ.get("FAULTS") == "full"
MESSAGES, KILLS = (50_000, 120) if IS_FULL else (2_000, 12)
STRIKES = ["server", "connections", "client"] * (KILLS // 3)
PATIENCE = 30.0  # seconds that everybody has to hear everything in the end


async def settled(post: Post) -> list[str]:
    """What is wrong once everybody had the time to hear everything."""
    ends = monotonic() + PATIENCE
    while (wrong := faults(await post.histories())) and monotonic() < ends:
        await asyncio.sleep(0.5)
        post.look()
    return wrong


@pytest.mark.timeout(3_600)
async def test_whatever_is_killed_every_message_is_heard_once_in_order_by_all_who_are_there(
    database: TestDatabase, tmp_path: Path
) -> None:
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"SEED={seed}")
    dice, struck = random.Random(seed), 0
    async with opened(database, tmp_path, dice, MESSAGES // PEOPLE) as post:
        start, strikes = monotonic(), dice.sample(STRIKES, KILLS)
        while (done := post.look()) < MESSAGES or not post.is_written() or struck < KILLS:
            if struck < KILLS and done >= MESSAGES * (struck + 1) / (KILLS + 1):
                await post.strike(strikes[struck])
                struck += 1
            await asyncio.sleep(0.02)
        took = monotonic() - start
        wrong = await settled(post)
        heard_by = monotonic() - start
        journals = post.journals.values()
        repeated, heard = sum(each.repeated for each in journals), sum(len(each.heard) for each in journals)
        read = sum(not each.cursor for one in journals for each in one.heard)
        print(
            f"{done} acknowledged in {took:.1f} s, {repeated} sent again, {heard} heard by {heard_by:.1f} s, {read} of "
            f"them from the history; {struck} kills"
        )
        assert wrong == [], "\n".join(wrong[:20])
        assert [each.surprises for each in journals if each.surprises] == []
        assert repeated, "nothing was on its way when anything was killed, so nothing was tried"
        for name, statement in APP.invariants.items():
            assert await post.owner.fetch(statement) == [], name
