"""Chat's reads and the making of groups, by eight clients: through the operations, and once more through HTTP."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import asyncpg

from bench.chat_load import percentiles
from entrepot.apps.chat.calls.conversations import CountUnread, ListConversations
from entrepot.apps.chat.calls.cursors import SeqCursor
from entrepot.apps.chat.calls.groups import CreateGroup, GroupName
from entrepot.apps.chat.calls.messages import ListMessages
from entrepot.apps.chat.calls.users import FindUsers
from entrepot.apps.chat.operations import conversations, groups, history, users
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import Settings
from entrepot.kernel.wallet import Wallet

CLIENTS, SECONDS = 8, 10.0
GOALS = {"search": 30.0}
GOAL = 10.0  # milliseconds, p95
SETTINGS = Settings(pool_size=CLIENTS, groups_per_day=1_000_000)
DRAWN = """
SELECT c.id, c.last_seq, a.wallet_address AS wallet, coalesce(split_part(b.name, ' ', 1), 'Dersol') AS name,
    b.wallet_address AS other
FROM bench.talk t JOIN chat.conversations c ON c.id = t.id JOIN chat.users a ON a.id = c.first_id
JOIN chat.users b ON b.id = c.second_id {more} ORDER BY md5('drawn' || t.n) LIMIT 3000
"""
SPARSE = "WHERE t.lasted > 600 * 86400 AND t.count BETWEEN 24 AND 100"


@dataclass(frozen=True)
class Drawn:
    """A conversation, one of its two, and what they know of the other."""

    id: UUID
    last_seq: int
    wallet: Wallet
    name: str
    other: str


Call = Callable[[Database, Drawn, random.Random], Awaitable[object]]


async def drawn(dsn: str, more: str = "") -> list[Drawn]:
    """Some, the same ones each time."""
    db = await asyncpg.connect(dsn)
    rows = await db.fetch(DRAWN.format(more=more))
    await db.close()
    return [Drawn(UUID(bytes=r["id"].bytes), r["last_seq"], Wallet(r["wallet"]), r["name"], r["other"]) for r in rows]


async def newest_page(database: Database, one: Drawn, _die: random.Random) -> object:
    """The newest 50 of a conversation."""
    async with database.read() as db:
        return await history.list_messages(db, ListMessages(by=one.wallet, id=one.id))


async def older_page(database: Database, one: Drawn, die: random.Random) -> object:
    """50 from anywhere in a conversation."""
    cursor = SeqCursor(f"before~{die.randint(1, one.last_seq + 1)}")
    async with database.read() as db:
        return await history.list_messages(db, ListMessages(by=one.wallet, id=one.id, cursor=cursor))


async def conversation_list(database: Database, one: Drawn, _die: random.Random) -> object:
    """The first 50 conversations of a user."""
    async with database.read() as db:
        return await conversations.list_conversations(db, ListConversations(by=one.wallet))


async def unread_total(database: Database, one: Drawn, _die: random.Random) -> object:
    """How much a user has not read."""
    async with database.read() as db:
        return await conversations.count_unread(db, CountUnread(by=one.wallet))


async def search_by_name(database: Database, one: Drawn, die: random.Random) -> object:
    """Who is called so, by three letters or more."""
    async with database.read() as db:
        return await users.find_users(db, FindUsers(by=one.wallet, q=one.name[: die.randint(3, 9)]))


async def search_by_wallet(database: Database, one: Drawn, die: random.Random) -> object:
    """Whose wallet it is, by some digits."""
    at = die.randint(2, 30)
    async with database.read() as db:
        return await users.find_users(db, FindUsers(by=one.wallet, q=one.other[at : at + die.randint(4, 8)]))


async def group_creation(database: Database, one: Drawn, _die: random.Random) -> object:
    """A group to which two are invited; the commit is durable."""
    ask = CreateGroup(by=one.wallet, name=GroupName("A group"), invite=[Wallet(one.other)])
    async with database.write() as db:
        return await groups.create_group(db, ask, SETTINGS)


CALLS: dict[str, tuple[str, Call]] = {
    "page of 50, the newest": ("", newest_page),
    "page of 50, anywhere": ("WHERE t.count > 100", older_page),
    "page of 50, of a sparse conversation": (SPARSE, older_page),
    "conversation list": ("", conversation_list),
    "unread total": ("", unread_total),
    "user search, by name": ("", search_by_name),
    "user search, by wallet": ("", search_by_wallet),
    "group creation": ("", group_creation),
}


async def loop(ask: Callable[[random.Random], Awaitable[object]], seconds: float = SECONDS) -> dict[str, float]:
    """Each client asks again as soon as it is answered, after five calls that are not counted."""
    taken: list[float] = []

    async def client(seed: int) -> None:
        die = random.Random(seed)
        for _ in range(5):
            await ask(die)
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until:
            await ask(die)
            taken.append(time.perf_counter() - began)

    await asyncio.gather(*(client(seed) for seed in range(CLIENTS)))
    return {**percentiles(taken), "per_second": len(taken) / seconds}


def judged(name: str, found: dict[str, float]) -> dict[str, Any]:
    """With its goal."""
    goal = next((each for word, each in GOALS.items() if word in name), GOAL)
    return {"name": name, "goal": goal, **found}


async def measure(dsn: str, served: str, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """All of them, one after the other; `served` is the server role's address."""
    found = []
    async with Database(served, SETTINGS) as database:
        for name, (more, call) in CALLS.items():
            among = await drawn(dsn, more)

            async def ask(die: random.Random, call: Call = call, among: Sequence[Drawn] = among) -> object:
                return await call(database, die.choice(among), die)

            found.append(judged(name, await loop(ask)))
            tell(f"{name}: p50 {found[-1]['p50']:.1f} ms, p95 {found[-1]['p95']:.1f} ms")
    return found


Path = Callable[[str, random.Random], str]
"""What is asked, of somebody with that conversation."""


async def over_http(port: int, dsn: str, people: Sequence[tuple[str, str]], tell: Callable[[str], None]) -> list[Any]:
    """The same by requests, of people of whom each has a token and a conversation."""
    among, prefix = await drawn(dsn), f"http://127.0.0.1:{port}/api/v1/chat"
    paths: dict[str, Path] = {
        "page of 50": lambda conversation, _: f"/conversations/{conversation}/messages",
        "conversation list": lambda *_: "/conversations",
        "unread total": lambda *_: "/unread",
        "user search": lambda _, die: f"/users?q={quote(die.choice(among).name[:4])}",
        "group creation": lambda *_: "/groups",
    }
    found = []
    async with aiohttp.ClientSession() as http:
        for name, path in paths.items():
            body = {"name": "A group"} if name == "group creation" else None

            async def ask(die: random.Random, path: Path = path, body: dict[str, str] | None = body) -> object:
                token, conversation = die.choice(people)
                verb, headers = "GET" if body is None else "POST", {"Authorization": f"Bearer {token}"}
                async with http.request(verb, prefix + path(conversation, die), json=body, headers=headers) as answer:
                    answer.raise_for_status()
                    return await answer.read()

            found.append(judged(name, await loop(ask)))
            tell(f"HTTP, {name}: p50 {found[-1]['p50']:.1f} ms, p95 {found[-1]['p95']:.1f} ms")
    return found
