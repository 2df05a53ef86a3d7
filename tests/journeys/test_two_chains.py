"""Two chains in one market: trades on both at once, and a chain whose node is gone holds up nobody on the other."""

import asyncio
import gzip
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import msgspec
import pytest
from eth_account import Account

from entrepot.apps.escrow.operations import keeper
from entrepot.apps.escrow.operations.keeper import KEEPER, keep_time
from entrepot.client import ChainName, Client, OrderStatus, Token
from entrepot.dev.anvil import anvil
from entrepot.kernel.chain.keys import keep_key
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings
from entrepot.kernel.work.runner import Worker
from entrepot.main import House
from tests import bazaar
from tests.conftest import TestDatabase, served, settings_for
from tests.journeys.conftest import FEE, PRICE, Stage, lists

HOUR = 3600
PATIENCE = 3.0  # seconds that the keeper has for a chain, which are twelve elsewhere
PROMPT = 8.0  # seconds after which somebody who waits would say that it does not work


@dataclass
class Town:
    """One server and one worker on two chains; the second pays in a token of 18 decimals, and may go away."""

    ethereum: Stage
    bsc: Stage
    house: House
    environment: dict[str, str]
    state: Path
    stack: AsyncExitStack

    async def keeps_time(self) -> float:
        """One round of the keeper; the seconds that it took."""
        began = monotonic()
        await keep_time(self.house.database, self.house.chains, self.house.vault)
        return monotonic() - began

    async def ethereum_is_read(self) -> None:
        """Waits until the mirror of the first chain is at its head, whose time the keeper goes by."""
        read = "SELECT max(last_block) FROM escrow.event_sync_cursor WHERE chain = 'ethereum'"
        while await self.ethereum.owner.fetchval(read) < await self.ethereum.bazaar.node.rpc.head():
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL for the node of the second chain. What it knew is kept, as other nodes of a chain know it."""
        node = self.bsc.bazaar.node
        told = bytes.fromhex((await node.rpc.call("anvil_dumpState", type=str))[2:])
        self.state.write_bytes(gzip.decompress(told))
        os.kill(node.pid, signal.SIGKILL)
        while await self.answers():
            await asyncio.sleep(0.02)

    async def answers(self) -> bool:
        """Whether anything listens where the node was."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    @property
    def port(self) -> int:
        """Where the second chain's node is."""
        return urlsplit(self.bsc.bazaar.node.url).port or 0

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        """In the node's place something that takes connections and never answers."""
        with socket.create_server(("127.0.0.1", self.port)):
            yield

    async def comes_back(self) -> None:
        """A node of that chain in the same place."""
        self.bsc.bazaar.node = await self.stack.enter_async_context(
            anvil(port=self.port, chain_id=self.bsc.bazaar.chain_id, state=self.state)
        )

    async def says(self, *command: str) -> tuple[int, Any]:
        """Exit status of a command of `entrepot`, and its JSON."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "entrepot", *command, "--json"),
            env=os.environ | self.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await process.communicate()
        return process.returncode or 0, json.loads(told)

    async def prepares(self, buyer: Client, product: str, chain: str) -> tuple[int, Any, float]:
        """What a purchase on that chain is answered, and after how many seconds, as the buyer's first try."""
        headers = {"Authorization": f"Bearer {buyer.transport.token}", "Idempotency-Key": os.urandom(8).hex()}
        wanted = {"product_id": product, "chain": chain, "token": "USDT"}
        began = monotonic()
        url = f"{buyer.transport.url}/api/v1/escrow/orders"
        async with aiohttp.ClientSession() as http, http.post(url, json=wanted, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None), monotonic() - began


@pytest.fixture
async def town(database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    monkeypatch.setattr(keeper, "PATIENCE", PATIENCE)
    async with AsyncExitStack() as stack:
        doors = await stack.enter_async_context(Database(database.url, settings_for(database, pool_size=1)))
        first = await stack.enter_async_context(bazaar.opened(doors, "ethereum", 31_337))
        second = await stack.enter_async_context(bazaar.opened(doors, "bsc", 31_338))
        chains: tuple[ChainSettings, ...] = (first.settings, second.settings)
        settings = settings_for(database, chains=chains)
        house = await stack.enter_async_context(House(settings))
        async with house.database.write() as db:
            await keep_key(db, house.vault, KEEPER, Account.from_key(first.parties[5].private_key))
        url = await stack.enter_async_context(served(settings))
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        await stack.enter_async_context(at_work(Worker(house)))
        people = await stack.enter_async_context(AsyncExitStack())
        here, there = (Stage(url, market, owner, people) for market in (first, second))
        told = {"DATABASE_URL": database.owner_url, "ENTREPOT_CHAINS": msgspec.json.encode(chains).decode()}
        yield Town(here, there, house, {**told, "ENTREPOT_HOME": str(tmp_path)}, tmp_path / "bsc.json", people)


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[None]:
    """The worker, until the block ends."""
    task = asyncio.ensure_future(worker.run())
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended


async def trade(stage: Stage) -> dict[str, Decimal]:
    """A whole trade of two strangers; what each of them gained."""
    seller, buyer = await stage.comes(), await stage.comes()
    product = await lists(seller)
    order = await buyer.buy(product.id, stage.chain, Token.USDT, most=PRICE + FEE)
    await seller.deliver(order.id, b"what opens the good")
    assert await buyer.open_delivery(order.id) == b"what opens the good"
    assert (await buyer.confirm(order.id)).status is OrderStatus.COMPLETED
    assert (await seller.withdraw(order.id)).amount == PRICE
    money = await stage.money(buyer, seller)
    return {"buyer": money["buyer"], "seller": money["seller"]}


PAID = {"buyer": -PRICE - FEE, "seller": PRICE}


async def test_trades_on_both_chains_at_once_are_paid_to_the_cent(town: Town) -> None:
    assert (town.ethereum.decimals, town.bsc.decimals) == (6, 18)
    one, other = await asyncio.gather(trade(town.ethereum), trade(town.bsc))
    assert (one, other) == (PAID, PAID)
    assert await town.ethereum.agrees()
    assert await town.bsc.agrees()
    rows = await town.bsc.owner.fetch("SELECT chain::text, onchain_order_id, amount FROM escrow.orders ORDER BY chain")
    assert sorted(tuple(row) for row in rows) == [("bsc", 1, PRICE), ("ethereum", 1, PRICE)]


async def outlast(town: Town) -> None:
    """What must go on while the second chain is away, and what is said of it."""
    seller, buyer = await town.ethereum.comes(), await town.ethereum.comes()
    product = await lists(seller)
    status, body, seconds = await town.prepares(buyer, str(product.id), "bsc")
    assert (status, body["type"], body["part"], seconds < PROMPT) == (503, "/problems/unavailable", "chain", True)
    assert "Retry-After" not in body
    late = await buyer.buy(product.id, ChainName.ETHEREUM, Token.USDT)
    await town.ethereum.passes(25)
    await town.ethereum_is_read()
    assert await town.keeps_time() < PATIENCE + 2
    assert (await buyer.until(late.id, OrderStatus.EXPIRED)).status is OrderStatus.EXPIRED
    assert await trade(town.ethereum) == PAID
    assert await town.ethereum.agrees()


async def told(town: Town) -> None:
    """Both commands name the chain that is down, and only that one."""
    (status, chains), (failed, doctor) = await asyncio.gather(town.says("chain", "status"), town.says("doctor"))
    assert (status, failed) == (1, 1)
    assert {each["name"]: each["is_well"] for each in chains} == {"ethereum": True, "bsc": False}
    bad = [each for each in doctor["findings"] if each["state"] == "bad"]
    assert {each["name"] for each in bad} == {"bsc"}
    assert "does not answer" in bad[0]["found"]


@pytest.mark.parametrize("fate", ["killed", "hanging"])
async def test_a_chain_that_is_down_stops_nobody_on_the_other_and_is_caught_up_with(town: Town, fate: str) -> None:
    seller, buyer = await town.bsc.comes(), await town.bsc.comes()
    order = await buyer.buy((await lists(seller)).id, ChainName.BSC, Token.USDT)
    other = await buyer.buy((await lists(seller)).id, ChainName.BSC, Token.USDT)
    await town.bsc.agrees()
    await town.kill()
    async with town.hanging() if fate == "hanging" else AsyncExitStack():
        await asyncio.gather(outlast(town), told(town))
        assert (await seller.hand_in(order.id, b"a key")).transaction.chain_id == 31_338, "for this no node is needed"
        assert [each.id async for each in buyer.orders()] == [other.id, order.id]
    await town.comes_back()
    number = await town.bsc.bazaar.call("nextOrderId") - 1
    await town.bsc.bazaar.node.rpc.call("anvil_impersonateAccount", [seller.wallet])
    await town.bsc.bazaar.act(seller.wallet, "cancelOrder", number)
    assert (await buyer.until(other.id, OrderStatus.CANCELLED)).status is OrderStatus.CANCELLED
    assert await town.bsc.agrees()
