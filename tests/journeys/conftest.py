"""A stage for journeys: chain, server, mirror and keeper, and people who come with nothing but a wallet."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from entrepot.apps.escrow.calls.orders import Order
from entrepot.apps.escrow.calls.products import Product
from entrepot.apps.escrow.operations.keeper import KEEPER, keep_time
from entrepot.apps.escrow.tasks import follow, follow_pool
from entrepot.client import Category, ChainName, Client, Token
from entrepot.dev import postgres
from entrepot.dev.standby import Standby, following
from entrepot.kernel.chain.keys import keep_key
from entrepot.kernel.db.database import Database
from entrepot.kernel.money import from_units, to_units
from entrepot.main import House
from tests import bazaar
from tests.apps.escrow.agreement import disagreements
from tests.bazaar import TOKEN, Bazaar
from tests.conftest import TestDatabase, cloned, served, settings_for
from tests.kernel.followed import primary, replica_of
from tests.pooler import pooled

HOUR = 3600
PRICE, FEE, ALLOWANCE = Decimal("24.90"), Decimal("0.498"), Decimal(100)
NOTHING = {"buyer": Decimal(0), "seller": Decimal(0), "treasury": Decimal(0), "escrow": Decimal(0)}
GOOD = b"gauge,at,level_cm\nReichsbruecke,1998-01-01T00:00Z,231\n"
PATIENCE = 20.0
KEEPERS_PAUSE = 0.2  # seconds; the worker's is 15


@dataclass
class Stage:
    """A market that runs as it runs in production, on a chain whose clock can be moved."""

    url: str
    bazaar: Bazaar
    owner: asyncpg.Connection
    stack: AsyncExitStack

    @property
    def chain(self) -> ChainName:
        return ChainName(self.bazaar.chain)

    @property
    def chains(self) -> dict[str, list[str]]:
        """What a client is told of the chain."""
        return {self.bazaar.chain: [self.bazaar.node.url]}

    async def wallet(self) -> LocalAccount:
        """A new wallet with one ether and a hundred USDT."""
        key: LocalAccount = Account.create()
        await self.bazaar.node.rpc.call("anvil_setBalance", [key.address, hex(10**18)])
        units = to_units(ALLOWANCE, self.decimals)
        minter = self.bazaar.parties[0].address
        await self.bazaar.send(minter, self.bazaar.token(), TOKEN.encode_call("mint", key.address, units))
        await self.bazaar.settled()
        return key

    async def comes(self, *, escrow: str | None = None) -> Client:
        """Somebody with such a wallet, who has signed in."""
        escrows = {self.bazaar.chain: escrow or self.bazaar.escrow}
        given = Client(self.url, await self.wallet(), self.chains, escrows=escrows, patience=PATIENCE)
        client = await self.stack.enter_async_context(given)
        await client.sign_in()
        return client

    @property
    def decimals(self) -> int:
        return self.bazaar.contracts["USDT"].decimals or 0

    async def passes(self, hours: int) -> None:
        """Moves the chain's clock."""
        await self.bazaar.node.increase_time(hours * HOUR + 1)

    async def money(self, buyer: Client, seller: Client) -> dict[str, Decimal]:
        """What they have gained, in USDT, and the treasury's credit and the contract's balance."""
        token = self.bazaar.token()

        async def has(holder: str) -> Decimal:
            data = TOKEN.encode_call("balanceOf", holder)
            answer = await self.bazaar.node.rpc.call_contract(token, data)
            return from_units(TOKEN.decode_result("balanceOf", answer), self.decimals)

        treasury = await self.bazaar.call("credits", self.bazaar.node.accounts[0].address, token)
        return {
            "buyer": await has(buyer.wallet) - ALLOWANCE,
            "seller": await has(seller.wallet) - ALLOWANCE,
            "treasury": from_units(treasury, self.decimals),
            "escrow": await has(self.bazaar.escrow),
        }

    async def agrees(self) -> bool:
        """Whether mirror and contract say the same, once the mirror has seen the last block."""
        for _ in range(100):
            if not (found := await disagreements(self.owner, self.bazaar)):
                return True
            await asyncio.sleep(0.05)
        raise AssertionError(found)


@dataclass
class Deal:
    """An order that was just paid for, and its two parties."""

    stage: Stage
    seller: Client
    buyer: Client
    order: Order


async def lists(seller: Client, stock: int = 3) -> Product:
    """The seller's listing."""
    return await seller.products.create(
        title="The Danube at Vienna: water level every hour",
        description="Three gauges, 1998 to 2025.",
        category=Category.DATA,
        price=PRICE,
        stock=stock,
        good="0x" + hashlib.sha256(GOOD).hexdigest(),
    )


async def deal_on(stage: Stage) -> Deal:
    """Two strangers, and an order between them."""
    seller, buyer = await stage.comes(), await stage.comes()
    product = await lists(seller)
    order = await buyer.buy(product.id, stage.chain, Token.USDT, most=PRICE + FEE)
    return Deal(stage, seller, buyer, order)


@asynccontextmanager
async def staged(database: TestDatabase, chain: str = "ethereum") -> AsyncIterator[Stage]:
    """Everything, for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        doors = await stack.enter_async_context(Database(database.url, settings_for(database, pool_size=1)))
        market = await stack.enter_async_context(bazaar.opened(doors, chain))
        settings = settings_for(database, chains=(market.settings,))
        house = await stack.enter_async_context(House(settings))
        async with house.database.write() as db:
            await keep_key(db, house.vault, KEEPER, Account.from_key(market.parties[5].private_key))
        url = await stack.enter_async_context(served(settings))
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        await stack.enter_async_context(working(house, chain))
        yield Stage(url, market, owner, await stack.enter_async_context(AsyncExitStack()))


@asynccontextmanager
async def working(house: House, chain: str) -> AsyncIterator[None]:
    """The worker's part: its mirrors of the chain, and its keeper, oftener than every fifteen seconds."""

    async def keep() -> None:
        while True:
            await keep_time(house.database, house.chains, house.vault)
            await asyncio.sleep(KEEPERS_PAUSE)

    mirrors = [run(house.database, house.chains, chain) for run in (follow, follow_pool)]
    tasks = [asyncio.ensure_future(each) for each in (*mirrors, keep())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [error for error in ended if not isinstance(error, asyncio.CancelledError)] == []


@pytest.fixture(scope="session")
def cluster(cluster: postgres.Server) -> Iterator[postgres.Server]:
    """The whole run's, or, where REPLICA is set, one whose commits a replica hears of at once."""
    if not os.environ.get("REPLICA"):
        yield cluster
        return
    with primary() as server:
        yield server


@pytest.fixture(scope="session")
def replica(cluster: postgres.Server) -> Iterator[Standby | None]:
    """Its replica, where REPLICA is set."""
    if not os.environ.get("REPLICA"):
        yield None
        return
    with following(cluster.get_uri()) as made:
        yield made


@pytest.fixture
async def database(cluster: postgres.Server, replica: Standby | None) -> AsyncIterator[TestDatabase]:
    """A migrated database of this test's own; `make faults` sets CACHE, REPLICA and POOLER (which is PgBouncer)."""
    async with cloned(cluster) as made:
        settings: dict[str, Any] = {"cache_bytes": 10_000_000} if os.environ.get("CACHE") else {}
        if replica is not None:
            settings["database_read_replica_url"] = replica_of(replica, made)
        made.settings = settings
        if not os.environ.get("POOLER"):
            yield made
            return
        with pooled(made) as behind:
            yield behind


@pytest.fixture
async def stage(database: TestDatabase) -> AsyncIterator[Stage]:
    """A market on one chain."""
    async with staged(database) as made:
        yield made


@pytest.fixture
async def deal(stage: Stage) -> Deal:
    """An order that was just paid for."""
    return await deal_on(stage)
