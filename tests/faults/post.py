"""The post: three servers, forty people in eight processes, and what may be killed of it."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import chain
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic

import aiohttp
import asyncpg

from entrepot.kernel.settings import Settings
from tests.apps.chat.conftest import Caller
from tests.apps.chat.test_groups import group_of
from tests.conftest import TestDatabase, free_port, settings_for
from tests.faults.chat_histories import Acknowledged, Asked, Heard, Histories, Said
from tests.faults.chat_journal import Journal
from tests.faults.correspondent import Person, carry
from tests.faults.household import forked, serve

SERVERS, CARRIERS, PEOPLE, GROUPS, VISITORS = 3, 8, 40, 4, 4
LOG = """
    SELECT m.conversation_id::text, m.seq, m.id::text, u.wallet_address, m.event ->> 'kind', m.event ->> 'wallet',
        coalesce(replace(encode(m.ciphertext, 'base64'), E'\\n', ''), '')
    FROM chat.messages m JOIN chat.users u ON u.id = m.sender_id
"""
MEMBERS = """
    SELECT k.conversation_id::text AS place, array_agg(u.wallet_address::text) AS wallets, c.last_seq
    FROM chat.cursors k JOIN chat.users u ON u.id = k.user_id JOIN chat.conversations c ON c.id = k.conversation_id
    GROUP BY k.conversation_id, c.last_seq
"""
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.6
"""


class Post:
    """Whoever is killed here is started again."""

    def __init__(self, settings: Sequence[Settings], owner: asyncpg.Connection, dice: random.Random, log: Path) -> None:
        self.settings, self.owner, self.dice, self.log = settings, owner, dice, log
        self.servers = [forked(serve, log, each) for each in settings]
        self.began: Sequence[asyncpg.Record] = ()
        self.parties: Sequence[Sequence[Person]] = ()
        self.carriers: list[BaseProcess] = []
        self.journals: dict[str, Journal] = {}

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{each.port}" for each in self.settings]

    def begin(self, people: Sequence[Person], began: Sequence[asyncpg.Record]) -> None:
        """Everybody comes, and writes; `began` is who was where until then."""
        self.began = began
        self.journals = {each.wallet: Journal(each.journal) for each in people}
        for each in people:
            each.journal.touch()
        self.parties = [people[number::CARRIERS] for number in range(CARRIERS)]
        self.carriers = [forked(carry, self.log, each) for each in self.parties]

    def look(self) -> int:
        """How many messages are acknowledged by now. Nobody may have ended without being killed."""
        for each in self.journals.values():
            each.catch_up()
        assert all(each.is_alive() for each in (*self.servers, *self.carriers)), self.log.read_text()[-2000:]
        return sum(len(each.answered) for each in self.journals.values())

    def is_written(self) -> bool:
        """Everybody has their share acknowledged."""
        return all(self.journals[each.wallet].has_written(each.share, each.places) for each in chain(*self.parties))

    async def strike(self, what: str) -> None:
        """Kills it. Another one comes at once in the place of a server, and a little later in that of a client."""
        match what:
            case "server":
                place = self.dice.randrange(SERVERS)
                await killed(self.servers[place])
                self.servers[place] = forked(serve, self.log, self.settings[place])
            case "connections":
                await self.owner.fetchval(CUT)
            case "client":
                place = self.dice.randrange(CARRIERS)
                await self._replace_carrier(place)
                if self.dice.random() < 0.5:  # and again, in the middle of what they catch up with
                    enough, ends = self._written(place) + self.dice.randrange(40_000), monotonic() + 1
                    while self._written(place) < enough and monotonic() < ends:
                        await asyncio.sleep(0.001)
                    await self._replace_carrier(place)

    async def _replace_carrier(self, place: int) -> None:
        await killed(self.carriers[place])
        await asyncio.sleep(self.dice.random() / 2)
        self.carriers[place] = forked(carry, self.log, self.parties[place])

    def _written(self, place: int) -> int:
        """How long the journals of a party are, in octets."""
        return sum(each.journal.stat().st_size for each in self.parties[place])

    async def close(self) -> None:
        """Nobody is left."""
        for each in (*self.carriers, *self.servers):
            await killed(each)

    async def histories(self) -> Histories:
        """What the database has and what is in the journals."""
        journals = self.journals.items()
        return Histories(
            log=[said(row) for row in await self.owner.fetch(LOG)],
            members={row["place"]: frozenset(row["wallets"]) for row in self.began},
            since={row["place"]: row["last_seq"] for row in self.began},
            asked=[Asked(m.conversation, m.id, who, m.ciphertext) for who, own in journals for m in own.asked.values()],
            acknowledged=[
                Acknowledged(m.conversation, m.seq, m.id, who) for who, own in journals for m in own.answered
            ],
            refused=frozenset(chain.from_iterable(own.refused for _, own in journals)),
            heard={
                who: [Heard(m.conversation, m.seq, m.id, m.sender, m.ciphertext) for m in own.heard]
                for who, own in journals
            },
        )


def said(row: asyncpg.Record) -> Said:
    conversation, seq, identity, sender, kind, wallet, body = row
    joined, gone = sender if kind == "joined" else None, wallet if kind == "gone" else None
    return Said(conversation, seq, identity, sender, body, is_event=kind is not None, joined=joined, gone=gone)


async def killed(process: BaseProcess) -> None:
    """SIGKILL."""
    process.kill()
    await asyncio.to_thread(process.join)


@asynccontextmanager
async def opened(database: TestDatabase, folder: Path, dice: random.Random, share: int) -> AsyncIterator[Post]:
    """Everybody is signed in and has somebody to write to and a group; those of other groups visit the open one."""
    settings = [settings_for(database, port=free_port()) for _ in range(SERVERS)]
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        post = Post(settings, owner, dice, folder / "log")
        stack.push_async_callback(post.close)
        await asyncio.gather(*map(answering, post.urls))
        http = await stack.enter_async_context(aiohttp.ClientSession(post.urls[0]))
        callers = [Caller(http) for _ in range(PEOPLE)]
        signed_in = await asyncio.gather(*(each.sign_in(each.key) for each in callers))
        assert [each.body for each in signed_in if each.status != 200] == []
        begun = [await each.writes_to(callers[n ^ 1]) for n, each in enumerate(callers)]
        assert [each.body for each in begun if each.status != 201] == []
        pairs = [each.body["conversation_id"] for each in begun]
        groups = [await group_of(callers[n], *callers[n + GROUPS :: GROUPS], is_public=n == 0) for n in range(GROUPS)]
        began = await owner.fetch(MEMBERS)
        last = {row["place"]: row["last_seq"] for row in began}
        visitors = range(1, PEOPLE, GROUPS)[:VISITORS]
        people = [
            Person(
                wallet=each.wallet,
                token=each.token,
                urls=post.urls,
                journal=folder / f"journal of {each.wallet}",
                places={place: last[place] for place in (pairs[n], groups[n % GROUPS])},
                share=share,
                visits=groups[0] if n in visitors else None,
                seed=dice.randrange(10**6),
            )
            for n, each in enumerate(callers)
        ]
        post.begin(people, began)
        yield post


async def answering(url: str) -> None:
    """Waits until a server is there."""
    async with aiohttp.ClientSession() as http:
        while True:
            with suppress(aiohttp.ClientError):
                async with http.get(f"{url}/api/v1/openapi.json") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
