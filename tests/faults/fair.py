"""A fair: chain, database, server and worker for random trade, put up once and swept clean for each run."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import msgspec
from eth_account import Account

from entrepot.apps.escrow.operations.keeper import KEEPER
from entrepot.client import Client
from entrepot.commands import here
from entrepot.dev import postgres
from entrepot.kernel.chain.keys import keep_key
from entrepot.kernel.chain.rpc import Receipt
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import Settings
from entrepot.main import House
from tests import bazaar
from tests.bazaar import Bazaar
from tests.conftest import TestDatabase, cloned, free_port, settings_for
from tests.faults import household

NAMES = ("anna", "bert", "cora", "dave", "emma", "finn", "gina", "hugo")
NEWCOMER, KEEPERS = "emma", 8  # who sells here for the first time; which of the chain's accounts is the keeper's
PATIENCE = 40.0  # seconds that the mirror has for what the chain has
WRITTEN = """
    SELECT string_agg(format('SELECT %L, count(*), max(xmin::text::bigint) FROM escrow.%I', tablename, tablename),
        ' UNION ALL ' ORDER BY tablename)
    FROM pg_tables WHERE schemaname = 'escrow' AND tablename <> 'event_sync_cursor'
"""
CURSORS = "SELECT last_block, last_hash FROM escrow.event_sync_cursor"
BACKENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $2"


class Fair:
    """Where the trade takes place. Whoever is killed here is started again, at the latest when somebody needs it."""

    def __init__(self, admin: asyncpg.Connection, template: str, market: Bazaar, settings: Settings, log: Path) -> None:
        self.admin, self.template, self.market, self.settings, self.log = admin, template, market, settings, log
        self.wallets = {name: each.address for name, each in zip(NAMES, market.parties, strict=False)}
        self.clients: dict[str, Client] = {}
        self.server: BaseProcess | None = None
        self.worker: BaseProcess | None = None
        self.errands: list[asyncio.Task[None]] = []
        self.first = 0
        self._written = self._snapshot = ""

    @property
    def database(self) -> str:
        """The name of the database."""
        return urlsplit(self.settings.database_url).path[1:]

    async def sweep(self) -> None:
        """A new database, the chain as it was in the beginning, and everybody at work."""
        await self.close()
        await self.admin.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")
        await self.admin.execute(f"CREATE DATABASE {self.database} TEMPLATE {self.template} STRATEGY FILE_COPY")
        if self._snapshot:
            assert await self.market.node.rpc.call("evm_revert", [self._snapshot])
        self._snapshot = await self.market.node.rpc.call("evm_snapshot", [])
        self.first = (await self.market.node.rpc.block()).number
        self.owner = await asyncpg.connect(self.settings.database_owner_url)
        self._written = await self.owner.fetchval(WRITTEN)
        self.start_worker()
        await self.start_server()

    async def close(self) -> None:
        """Everybody goes home."""
        await self.settled()
        for process in (self.server, self.worker):
            if process is not None:
                await kill(process)
        if self._written:
            await self.owner.close()
        self.server = self.worker = None

    def start_worker(self) -> None:
        """A mirror."""
        self.worker = household.forked(household.work, self.log, self.settings)

    async def start_server(self) -> None:
        """A server that answers."""
        self.server = household.forked(household.serve, self.log, self.settings)
        address = f"http://127.0.0.1:{self.settings.port}/api/v1/openapi.json"
        async with aiohttp.ClientSession() as http:
            for _ in range(500):
                with suppress(aiohttp.ClientError):
                    async with http.get(address) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.02)
        raise AssertionError("the server did not come up")

    async def kill_worker(self, delay: float) -> None:
        """At some instant, whatever it is doing."""
        await asyncio.sleep(delay)
        assert self.worker is not None
        await kill(self.worker)
        self.start_worker()

    async def kill_server(self, delay: float) -> None:
        """The same, and another comes in its place."""
        await asyncio.sleep(delay)
        assert self.server is not None
        await kill(self.server)
        await self.start_server()

    async def kill_backends(self, delay: float) -> None:
        """Every connection of the server's role ends, as when PostgreSQL restarts."""
        await asyncio.sleep(delay)
        await self.admin.execute(BACKENDS, self.database, self.settings.server_role)

    async def run_keeper(self, killed_after: float | None) -> None:
        """One round, to its end or not."""
        process = household.forked(household.keep, self.log, self.settings)
        if killed_after is not None:
            await asyncio.sleep(killed_after)
            process.kill()
        await asyncio.to_thread(process.join)
        assert killed_after is not None or process.exitcode == 0, f"the keeper ended with {process.exitcode}"

    def errand(self, does: Callable[[float], Any], delay: float) -> None:
        """Something that happens meanwhile."""
        self.errands.append(asyncio.ensure_future(does(delay)))

    async def settled(self) -> None:
        """What was to happen meanwhile has happened."""
        errands, self.errands = self.errands, []
        await asyncio.gather(*errands)

    async def send(self, by: str, to: str, data: bytes) -> Receipt:
        """A transaction, once it is in a block, be it that it did what it should or that it was refused."""
        sent = await self.market.send(by, to, data)
        while (receipt := await self.market.node.rpc.receipt(sent)) is None:
            await asyncio.sleep(0.002)
        await self.market.settled()
        return receipt

    async def caught_up(self) -> None:
        """Every mirror has seen the last block."""
        head, ends = await self.market.node.rpc.block(), monotonic() + PATIENCE
        while True:
            cursors = await self.owner.fetch(CURSORS)
            if cursors and all((row[0], row[1]) == (head.number, head.hash) for row in cursors):
                return
            assert monotonic() < ends, f"the mirror is at {cursors}, the chain at {head}; see {self.log}"
            await asyncio.sleep(0.01)

    async def written(self) -> list[tuple[object, ...]]:
        """Of every table how much is in it, and who wrote it last."""
        return [tuple(row) for row in await self.owner.fetch(self._written)]

    async def command(self, *arguments: str) -> tuple[int, str]:
        """`entrepot` with these arguments: its exit status, and what it says."""
        says = self.log.with_name("said")
        environment = dict(here.environment(self.settings))
        environment["ENTREPOT_VAULT_KEYS"] = msgspec.json.encode(self.settings.vault_keys).decode()
        process = household.forked(household.command, self.log, arguments, environment, says)
        await asyncio.to_thread(process.join)
        assert process.exitcode is not None
        return process.exitcode, says.read_text()


async def kill(process: BaseProcess) -> None:
    """SIGKILL."""
    process.kill()
    await asyncio.to_thread(process.join)


@asynccontextmanager
async def put_up(cluster: postgres.Server, folder: Path) -> AsyncIterator[Fair]:
    """Chain and contracts; everybody has signed in, and has been here for a month but for the newcomer."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(cloned(cluster))
        async with Database(made.url, settings_for(made, pool_size=1)) as doors:
            market = await stack.enter_async_context(bazaar.opened(doors))
        for symbol in ("USDT", "USDC"):
            await market.fund(market.parties, symbol)
        await market.settled()
        settings = settings_for(made, chains=(market.settings,), home=folder, port=free_port(), pool_size=2)
        admin = await asyncpg.connect(cluster.get_uri())
        stack.push_async_callback(admin.close)
        await _settle_in(stack, fair := Fair(admin, "", market, settings, folder / "log"))
        template, run = fair.database, TestDatabase(cluster, f"{fair.database}_run")
        own = msgspec.structs.replace(settings, database_url=run.url, database_owner_url=run.owner_url)
        fair.template, fair.settings = template, own
        try:
            yield fair
        finally:
            await fair.close()
            await admin.execute(f"DROP DATABASE IF EXISTS {fair.database} WITH (FORCE)")


async def _settle_in(stack: AsyncExitStack, fair: Fair) -> None:
    """What every run begins with."""
    async with House(fair.settings) as house, house.database.write() as db:
        await keep_key(db, house.vault, KEEPER, Account.from_key(fair.market.parties[KEEPERS].private_key))
    await fair.start_server()
    chains = {fair.market.chain: [fair.market.node.url]}
    for name, party in zip(NAMES, fair.market.parties, strict=False):
        key = Account.from_key(party.private_key)
        client = Client(f"http://127.0.0.1:{fair.settings.port}", key, chains)
        client.transport.attempts = 30  # a busy machine takes its time to start a server
        fair.clients[name] = await stack.enter_async_context(client)
        await client.sign_in()
    assert fair.server is not None
    await kill(fair.server)
    fair.server = None
    owner = await asyncpg.connect(fair.settings.database_owner_url)
    await owner.execute(
        "UPDATE escrow.user_profiles SET created_at = now() - interval '30 days' WHERE wallet <> $1",
        fair.wallets[NEWCOMER],
    )
    await owner.close()
