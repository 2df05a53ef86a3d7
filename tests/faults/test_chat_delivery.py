"""Forty people write through three servers, while servers, connections of the database and sockets are killed.

Every acknowledged message is heard once by each who was there then, in order, without a gap, and by nobody else.
`make faults` runs it in full (FAULTS=full): 50,000 messages.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic

import aiohttp
import asyncpg
import pytest

from entrepot.apps.chat.app import APP
from entrepot.kernel.settings import Settings
from tests.apps.chat.conftest import Caller
from tests.apps.chat.test_groups import group_of
from tests.conftest import TestDatabase, free_port, settings_for
from tests.faults.chat_histories import Histories, Said, faults
from tests.faults.correspondent import Correspondent
from tests.faults.household import forked, serve

IS_FULL = os.environ.get("FAULTS") == "full"
MESSAGES, KILLS = (50_000, 120) if IS_FULL else (1_500, 12)
STRIKES = ["server", "connections", "sockets"] * (KILLS // 3)
PEOPLE, SERVERS, GROUPS, WANDERERS = 40, 3, 4, 4
LOG = """
    SELECT m.conversation_id::text, m.seq, m.id::text, u.wallet_address, m.event ->> 'kind', m.event ->> 'wallet'
    FROM chat.messages m JOIN chat.users u ON u.id = m.sender_id
"""
MEMBERS = """
    SELECT k.conversation_id::text, array_agg(u.wallet_address::text), c.last_seq
    FROM chat.cursors k JOIN chat.users u ON u.id = k.user_id JOIN chat.conversations c ON c.id = k.conversation_id
    GROUP BY k.conversation_id, c.last_seq
"""
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.6
"""


@dataclass
class Post:
    """The servers, the people, and who has what to write to."""

    settings: list[Settings]
    servers: list[BaseProcess]
    people: list[Correspondent]
    places: list[list[str]]
    open_group: str
    owner: asyncpg.Connection
    dice: random.Random
    log: Path

    @property
    def done(self) -> int:
        return sum(len(each.acknowledged) for each in self.people)

    async def histories(self, began: list[asyncpg.Record]) -> Histories:
        return Histories(
            log=[said(row) for row in await self.owner.fetch(LOG)],
            members={row[0]: frozenset(row[1]) for row in began},
            since={row[0]: row[2] for row in began},
            acknowledged=[given for each in self.people for given in each.acknowledged],
            heard={each.caller.wallet: list(each.heard) for each in self.people},
        )

    async def strike(self, what: str) -> None:
        """Kills it."""
        match what:
            case "server":
                place = self.dice.randrange(SERVERS)
                self.servers[place].kill()
                await asyncio.to_thread(self.servers[place].join)
                self.servers[place] = forked(serve, self.log, self.settings[place])
            case "connections":
                await self.owner.fetchval(CUT)
            case "sockets":
                for each in self.dice.sample(self.people, 8):
                    each.cut()


def said(row: asyncpg.Record) -> Said:
    conversation, seq, identity, sender, kind, wallet = row
    return Said(
        conversation, seq, identity, sender, sender if kind == "joined" else None, wallet if kind == "gone" else None
    )


async def answering(url: str) -> None:
    """Waits until a server is there."""
    async with aiohttp.ClientSession() as http:
        while True:
            with suppress(aiohttp.ClientError):
                async with http.get(f"{url}/api/v1/openapi.json") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def opened(database: TestDatabase, folder: Path, dice: random.Random) -> AsyncIterator[Post]:
    """Everybody is signed in, has somebody to write to and a group, and listens."""
    settings = [settings_for(database, port=free_port()) for _ in range(SERVERS)]
    urls = [f"http://127.0.0.1:{each.port}" for each in settings]
    async with AsyncExitStack() as stack:
        servers = [forked(serve, folder / "log", each) for each in settings]
        await asyncio.gather(*map(answering, urls))
        http = await stack.enter_async_context(aiohttp.ClientSession(urls[0]))
        callers = [Caller(http) for _ in range(PEOPLE)]
        await asyncio.gather(*(each.sign_in(each.key) for each in callers))
        places = [[(await each.writes_to(callers[n ^ 1])).body["conversation_id"]] for n, each in enumerate(callers)]
        groups = [await group_of(callers[n], *callers[n + GROUPS :: GROUPS], is_public=n == 0) for n in range(GROUPS)]
        for n, each in enumerate(places):
            each.append(groups[n % GROUPS])
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        people = [Correspondent(each, urls, random.Random(dice.random())) for each in callers]
        post = Post(settings, servers, people, places, groups[0], owner, dice, folder / "log")
        try:
            yield post
        finally:
            for server in post.servers:
                server.kill()
                server.join()


async def write(post: Post, number: int) -> None:
    """One's share of the messages: to the other of a pair, and to the group."""
    for _ in range(MESSAGES // PEOPLE):
        await post.people[number].send(post.dice.choice(post.places[number]))


async def wander(post: Post, who: Correspondent, writing: asyncio.Future[list[None]]) -> None:
    """Joins the open group, writes to it, leaves it, and again."""
    while not writing.done():
        await who.move("POST", post.open_group)
        for _ in range(3):
            await who.send(post.open_group)
        await who.move("DELETE", post.open_group)
        await asyncio.sleep(0.2)


async def settled(post: Post, began: list[asyncpg.Record]) -> list[str]:
    """What is wrong once everybody had the time to hear everything."""
    ends = monotonic() + 30
    while (wrong := faults(await post.histories(began))) and monotonic() < ends:
        await asyncio.sleep(0.5)
    return wrong


@pytest.mark.timeout(3_600)
async def test_whatever_is_killed_every_message_is_heard_once_in_order_by_all_who_are_there(
    database: TestDatabase, tmp_path: Path
) -> None:
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"SEED={seed}")
    async with opened(database, tmp_path, random.Random(seed)) as post:
        # Those of the other groups: they come to the open one and go.
        began, wanderers = await post.owner.fetch(MEMBERS), post.people[1::GROUPS][:WANDERERS]
        listening = [asyncio.create_task(each.listen()) for each in post.people]
        while not all(each.is_listening for each in post.people):
            await asyncio.sleep(0.05)
        start = monotonic()
        writing = asyncio.gather(*(write(post, number) for number in range(PEOPLE)))
        wandering = [asyncio.create_task(wander(post, each, writing)) for each in wanderers]
        for number, what in enumerate(post.dice.sample(STRIKES, KILLS), 1):
            while post.done < MESSAGES * number / (KILLS + 1) and not writing.done():
                await asyncio.sleep(0.02)
            await post.strike(what)
        await writing
        await asyncio.gather(*wandering)
        took = monotonic() - start
        wrong = await settled(post, began)
        heard_by = monotonic() - start
        await asyncio.gather(*(each.stop() for each in post.people), *listening)
        repeated, heard = (sum(each.repeated for each in post.people), sum(len(each.heard) for each in post.people))
        print(f"{post.done} acknowledged in {took:.1f} s, {repeated} sent again, {heard} heard by {heard_by:.1f} s")
        assert wrong == [], "\n".join(wrong[:20])
        assert [each.surprises for each in post.people if each.surprises] == []
        assert post.done >= MESSAGES // PEOPLE * PEOPLE
        for name, statement in APP.invariants.items():
            assert await post.owner.fetch(statement) == [], name
