"""Two server processes with their caches, a Redis and a replica, all of them killed under load.

No session misses its own write or goes back.
"""

import asyncio
import base64
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import asyncpg
import pytest
from eth_account import Account
from prometheus_client.parser import text_string_to_metric_families

from entrepot.dev.standby import Standby
from entrepot.kernel.settings import Settings
from tests.conftest import TestDatabase, free_port, settings_for
from tests.faults import household
from tests.faults.test_replica_faults import IS_FULL, trouble
from tests.kernel.cache.conftest import redis
from tests.kernel.cache.redis_server import RedisServer
from tests.kernel.followed import BOOKMARK, cluster, faults, replica_of, standby

__all__ = ["cluster", "redis", "standby"]
SELLERS = 50 if IS_FULL else 20
ROUNDS = 5 if IS_FULL else 1
NAMED = "name {}"
KEY = base64.b64encode(bytes(32)).decode()
SESSION = "INSERT INTO core.sessions (token_hash, wallet, expires_at) VALUES ($1, $2, now() + interval '1 hour')"


@dataclass
class Server:
    """A process that serves, and comes back at the same port when it was killed."""

    settings: Settings
    log: Path
    http: aiohttp.ClientSession
    process: BaseProcess

    async def kill(self) -> None:
        self.process.kill()
        await asyncio.to_thread(self.process.join)

    async def replace(self) -> None:
        await self.kill()
        self.process = household.forked(household.serve, self.log, self.settings)
        await answers(self.http)


@dataclass
class Seller:
    """Renames itself and reads of all, through either server; `history` is what it was shown, by wallet."""

    servers: list[Server]
    random: Random
    wallet: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    listing: str = ""
    bookmark: str = ""
    names: int = 0
    asked_again: int = 0
    history: list[tuple[str, int, bool]] = field(default_factory=list)
    errors: list[tuple[int, Any]] = field(default_factory=list)

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """The answer, from one of the servers. Who asked one that was killed asks again; a name may be given twice."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({BOOKMARK: self.bookmark} if self.bookmark else {})
        while True:
            http = self.random.choice(self.servers).http
            try:
                async with http.request(method, f"/api/v1/escrow/{path}", headers=headers, **more) as answer:
                    body = await answer.json()
            except aiohttp.ClientError:
                self.asked_again += 1
                await asyncio.sleep(0.05)
                continue
            self.bookmark = answer.headers.get(BOOKMARK, self.bookmark)
            if answer.status >= 400:
                self.errors.append((answer.status, body))
            return body

    async def rename(self) -> None:
        """The next name. Nobody else gives it one."""
        self.names += 1
        told = await self.call("PATCH", "profile", json={"display_name": NAMED.format(self.names)})
        self.sees(self.wallet, told.get("display_name"), wrote=True)

    def sees(self, wallet: str, name: str | None, *, wrote: bool = False) -> None:
        """Was shown that."""
        self.history.append((wallet, int((name or NAMED.format(0)).split()[1]), wrote))

    async def reads(self, other: "Seller") -> None:
        """A profile and a list, which may come from a cache, or a listing, which may not."""
        way = self.random.randrange(3)
        if way == 0:
            told = await self.call("GET", f"profile/{other.wallet}")
            self.sees(other.wallet, told.get("display_name"))
        elif way == 1:
            told = await self.call("GET", "products", params={"limit": 100})
            for item in told.get("items", ()):
                self.sees(item["seller_wallet"], item["seller_display_name"])
        else:
            told = await self.call("GET", f"products/{other.listing}")
            self.sees(other.wallet, told.get("seller", {}).get("display_name"))

    async def lives(self, others: list["Seller"], over: asyncio.Event) -> None:
        """Until it is over."""
        while not over.is_set():
            await self.rename()
            for other in (self, *self.random.choices(others, k=6), self):
                await self.reads(other)
                await asyncio.sleep(self.random.uniform(0, 0.03))


@asynccontextmanager
async def servers(database: TestDatabase, log: Path, **settings: Any) -> AsyncIterator[list[Server]]:
    """Two processes that serve."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            told = settings_for(database, cache_bytes=10_000_000, port=free_port(), **settings)
            http = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{told.port}"))
            made.append(Server(told, log, http, household.forked(household.serve, log, told)))
            stack.push_async_callback(made[-1].kill)
        for each in made:
            await answers(each.http)
        yield made


async def calamities(servers: list[Server], redis: RedisServer | None, random: Random) -> None:
    """Once each, in any order, one after the other: somebody can always be asked."""
    stricken: list[Server | RedisServer] = [*servers, *([redis] if redis else [])]
    for each in random.sample(stricken, len(stricken)):
        await asyncio.sleep(random.uniform(0.3, 1.5))
        if isinstance(each, Server):
            await each.replace()
        else:
            await each.kill()
            await asyncio.sleep(random.uniform(0, 1))
            await each.start()


async def answers(http: aiohttp.ClientSession) -> None:
    """Waits until it does."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with http.get("/health/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def settle(owner: asyncpg.Connection, sellers: list[Seller]) -> None:
    """Everybody has a profile, a session and a listing."""
    for each in sellers:
        await owner.execute("INSERT INTO escrow.user_profiles (wallet, public_key) VALUES ($1, $2)", each.wallet, KEY)
        session = hashlib.sha256(each.token.encode()).digest()
        await owner.execute(SESSION, session, each.wallet)
        each.listing = str(
            await owner.fetchval(
                "INSERT INTO escrow.products (seller_wallet, title_preview, description_preview, category, price_usdt,"
                " product_hash) VALUES ($1, 'A good', 'It is good.', 'data', 20, '0x') RETURNING id",
                each.wallet,
            )
        )


async def counted(servers: list[Server], name: str, label: str) -> dict[str, int]:
    """A counter of both, by that label, since they were last started."""
    found: dict[str, int] = {}
    for server in servers:
        async with server.http.get("/metrics") as answer:
            page = await answer.text()
        for sample in (each for family in text_string_to_metric_families(page) for each in family.samples):
            if sample.name == name:
                found[sample.labels[label]] = found.get(sample.labels[label], 0) + int(sample.value)
    return found


def troubles(log: Path) -> str:
    """What the servers say went wrong: the first of it."""
    _, found, rest = log.read_text().partition("Traceback")
    return (found + rest)[:6_000]


@pytest.mark.parametrize("has_redis", [True, False] if IS_FULL else [True], ids=lambda has: f"Redis {has}")
async def test_no_session_misses_its_write_or_goes_back_by_what_is_kept(
    standby: Standby,
    redis: RedisServer,
    *,
    has_redis: bool,
    database: TestDatabase,
    owner: asyncpg.Connection,
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("SEED", Random().randrange(10**6)))
    print(f"SEED={seed}")
    random = Random(seed)
    settings = {"redis_url": redis.url} if has_redis else {}
    settings["database_read_replica_url"] = replica_of(standby, database)
    async with servers(database, tmp_path / "log", **settings) as both:
        sellers = [Seller(both, Random(seed + number), Account.create().address) for number in range(SELLERS)]
        await settle(owner, sellers)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as lives:
            for each in sellers:
                lives.create_task(each.lives(sellers, over))
            await asyncio.sleep(1.5)
            for _ in range(ROUNDS):
                await asyncio.gather(trouble(standby, random), calamities(both, redis if has_redis else None, random))
            await asyncio.sleep(1.5)  # for the counters of who was started last
            over.set()
        reads = await counted(both, "entrepot_causal_reads_total", "served")
        kept = await counted(both, "entrepot_cache_total", "what")
    facts, again = sum(len(each.history) for each in sellers), sum(each.asked_again for each in sellers)
    print(f"{facts} facts, {again} calls made again; causal reads: {reads}; cache: {kept}")
    refused = [error for each in sellers for error in each.errors]
    assert refused == [], f"{refused}\n{troubles(tmp_path / 'log')}"
    assert [found for each in sellers for found in faults(each.history)] == []
    assert again, "nothing was asked when anything was killed, so nothing was tried"
    assert reads["replica"] > 0
    assert kept["near_hits"] > 0
    assert (kept["far_hits"] > 0) == has_redis
