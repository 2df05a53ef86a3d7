"""A market with people who sign in over HTTP, a chain that all tests share, and orders as the mirror makes them."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from anyio.from_thread import start_blocking_portal

from entrepot.dev import postgres
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings, Settings
from entrepot.kernel.values import new_id
from tests import callers
from tests.bazaar import opened
from tests.callers import Answer
from tests.conftest import TestDatabase, cloned, served, settings_for

HASH = "0x" + "ab" * 32
LISTING = {
    "title_preview": "Weekly index of public tenders",
    "description_preview": "One file a week, 2019 to 2026.\nCleaned by hand.",
    "category": "data",
    "price_usdt": "25.00",
    "stock": 3,
    "product_hash": HASH,
}


@dataclass
class Caller(callers.Caller):
    """Somebody who trades."""

    app = "escrow"

    async def lists(self, **more: Any) -> dict[str, Any]:
        answer = await self.post("products", **{**LISTING, **more})
        assert answer.status == 201, answer.body
        body: dict[str, Any] = answer.body
        return body

    async def prepares(self, product: str, chain: str = "ethereum", token: str = "USDT", key: str = "") -> Answer:
        wanted = {"product_id": product, "chain": chain, "token": token}
        return await self.call("POST", "orders", key=key or str(uuid4()), json=wanted)


@dataclass
class Market:
    """A running server, and the owner's connection to its database."""

    http: aiohttp.ClientSession
    owner: asyncpg.Connection
    orders: int = 0

    def stranger(self) -> Caller:
        return Caller(self.http)

    async def member(self, *, for_days: int = 30) -> Caller:
        caller = Caller(self.http)
        answer = await caller.sign_in(caller.key)
        assert answer.status == 200, answer.body
        await self.owner.execute(
            "UPDATE escrow.user_profiles SET created_at = now() - make_interval(days => $2) WHERE wallet = $1",
            caller.wallet,
            for_days,
        )
        return caller

    async def ban(self, wallet: str) -> None:
        await self.owner.execute("INSERT INTO escrow.blacklist (wallet, reason) VALUES ($1, 'fraud')", wallet)
        await self.owner.execute("UPDATE escrow.user_profiles SET is_blacklisted = true WHERE wallet = $1", wallet)

    async def order(self, product: dict[str, Any], buyer: Caller, **columns: Any) -> UUID:
        """An order as the mirror would have made it."""
        self.orders += 1
        given = {
            "id": new_id(),
            "onchain_order_id": self.orders,
            "chain": "ethereum",
            "buyer_wallet": buyer.wallet,
            "seller_wallet": product["seller_wallet"],
            "product_id": UUID(product["id"]),
            "token": "USDT",
            "amount": 25,
            "platform_fee": 0.5,
            "tx_hash_create": "0x" + secrets.token_hex(32),
            "block_number": 10,
            **columns,
        }
        names, places = ", ".join(given), ", ".join(f"${n}" for n in range(1, len(given) + 1))
        await self.owner.execute(
            f"INSERT INTO escrow.orders ({names}, seller_deadline) VALUES ({places}, now() + interval '24 hours')",
            *given.values(),
        )
        order_id: UUID = given["id"]
        return order_id

    async def snapshot(self) -> dict[str, tuple[int, int]]:
        """How many rows each table has and which transaction was the last to write one."""
        return await callers.snapshot(self.owner, "escrow")


@asynccontextmanager
async def opened_market(database: TestDatabase, **settings: Any) -> AsyncIterator[Market]:
    """A market on that database."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(settings_for(database, **settings)))
        http = await stack.enter_async_context(aiohttp.ClientSession(url))
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        yield Market(http, owner)


@pytest.fixture
async def market(database: TestDatabase) -> AsyncIterator[Market]:
    """A market without a chain."""
    async with opened_market(database) as market:
        yield market


@pytest.fixture
async def seller(market: Market) -> Caller:
    """Somebody who has been here for a month."""
    return await market.member()


@pytest.fixture
async def buyer(market: Market) -> Caller:
    """Somebody else."""
    return await market.member()


@dataclass(frozen=True)
class SharedChain:
    """A chain with the contracts on it; its node lives in a thread of its own, so only its address is for tests."""

    settings: ChainSettings
    contracts: tuple[Deployed, ...]

    async def note(self, owner: asyncpg.Connection, *chains: str) -> None:
        """Tells a database where the contracts are."""
        for chain in chains or (self.settings.name,):
            for one in self.contracts:
                await owner.execute(
                    "INSERT INTO core.contracts (chain, name, address, decimals, block) VALUES ($1, $2, $3, $4, $5)",
                    *(chain, one.name, one.address, one.decimals, one.block),
                )


@asynccontextmanager
async def standing_chain(cluster: postgres.Server) -> AsyncIterator[SharedChain]:
    """A chain with the contracts deployed."""
    async with AsyncExitStack() as stack:
        noted = await stack.enter_async_context(cloned(cluster))
        database = await stack.enter_async_context(Database(noted.url, Settings(pool_size=1)))
        bazaar = await stack.enter_async_context(opened(database))
        yield SharedChain(bazaar.settings, tuple(bazaar.contracts.values()))


@pytest.fixture(scope="session")
def chain(cluster: postgres.Server) -> Iterator[SharedChain]:
    """One chain for all tests, which leave it as it is, but for orders."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(standing_chain(cluster)) as standing:
        yield standing


@pytest.fixture
async def bourse(database: TestDatabase, chain: SharedChain) -> AsyncIterator[Market]:
    """A market on a chain."""
    async with opened_market(database, chains=(chain.settings,)) as market:
        await chain.note(market.owner)
        yield market


@dataclass
class Quarrel:
    """A disputed order, its parties, the arbitrator that was drawn, and somebody else."""

    market: Market
    seller: Caller
    buyer: Caller
    arbitrator: Caller
    other: Caller
    id: UUID

    async def becomes(self, **columns: Any) -> None:
        """The order as the mirror would have it; a text that begins with an interval is reckoned from now."""
        for name, value in columns.items():
            sql = f"UPDATE escrow.orders SET {name} = $2 WHERE id = $1"
            if isinstance(value, str) and value.endswith(" hours"):
                sql = f"UPDATE escrow.orders SET {name} = now() + $2::text::interval WHERE id = $1"
            await self.market.owner.execute(sql, self.id, value)

    async def at_block(self, number: int) -> None:
        """How far the chain is mirrored."""
        await self.market.owner.execute(
            """INSERT INTO escrow.event_sync_cursor (chain, contract, last_block, last_hash, last_block_at)
            VALUES ('ethereum', '0x00', $1, '0x00', now())
            ON CONFLICT (chain, contract) DO UPDATE SET last_block = excluded.last_block""",
            number,
        )

    @property
    def everyone(self) -> tuple[Caller, Caller, Caller]:
        """All three who have to do with it."""
        return self.buyer, self.seller, self.arbitrator


@pytest.fixture
async def quarrel(bourse: Market) -> Quarrel:
    """Number 1 of its contract: disputed, and an arbitrator has six days left."""
    seller, buyer, arbitrator, other = [await bourse.member() for _ in range(4)]
    order = await bourse.order(await seller.lists(), buyer, status="disputed")
    made = Quarrel(bourse, seller, buyer, arbitrator, other, order)
    await made.becomes(
        arbitrator_wallet=arbitrator.wallet,
        release_deadline="48 hours",
        dispute_opened_at="-24 hours",
        dispute_deadline="144 hours",
        default_deadline="168 hours",
        draw_block=20,
    )
    await made.at_block(30)
    return made
