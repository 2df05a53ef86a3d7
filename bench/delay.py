"""How soon a mined block shows in the API: server and worker as processes, on a chain of one-second blocks."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
from eth_account import Account

from bench.processes import free_port
from entrepot.client import Client, OrderStatus
from entrepot.dev import postgres
from entrepot.dev.anvil import Anvil, anvil
from entrepot.dev.process import entrepot
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.deploy import Plan, deploy
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings, Settings
from entrepot.kernel.upkeep import migrate
from entrepot.main import find_apps

GOAL = 0.300  # seconds, p95
SAMPLES = 60
LOOK = 0.005  # seconds between two looks of the client that waits
ROLE = "entrepot_server"
ESCROW = Contract(Artifact.load("P2PEscrow").abi)
TOKEN = Contract(Artifact.load("TestUSDC").abi)
VAULT = '{"bench": "' + "A" * 43 + '="}'
ORDERS = "SELECT onchain_order_id, id FROM escrow.orders ORDER BY onchain_order_id"


@dataclass
class Heads:
    """When each block was announced, by the monotonic clock. The node announces a block as soon as it has made it."""

    at: dict[int, float] = field(default_factory=dict)

    @asynccontextmanager
    async def heard(self, node: Anvil) -> AsyncIterator[None]:
        """Listens until the block ends."""
        async with aiohttp.ClientSession() as http, http.ws_connect(node.url.replace("http", "ws")) as line:
            await line.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
            await line.receive_json()

            async def listen() -> None:
                async for message in line:
                    self.at[int(message.json()["params"]["result"]["number"], 16)] = time.perf_counter()

            listening = asyncio.ensure_future(listen())
            try:
                yield
            finally:
                listening.cancel()


@dataclass
class Market:
    """A whole market: node, contracts, server and worker."""

    node: Anvil
    contracts: dict[str, str]
    owner: asyncpg.Connection
    url: str

    async def act(self, sender: str, to: str, data: bytes) -> str:
        """Hands a call to the node, which mines it with the next block."""
        call = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(1_500_000)}
        sent: str = await self.node.rpc.call("eth_sendTransaction", [call])
        return sent

    async def mined_in(self, tx_hash: str) -> int:
        """The block that has it."""
        while (receipt := await self.node.rpc.receipt(tx_hash)) is None:  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.05)
        return receipt.block_number


@asynccontextmanager
async def opened(cluster: postgres.Server, folder: Path) -> AsyncIterator[Market]:
    """Everything started, and what the server says of itself answered."""
    async with AsyncExitStack() as stack:
        await migrate.up(cluster.get_uri("postgres"), find_apps(), ROLE)
        node = await stack.enter_async_context(anvil())
        async with Database(cluster.get_uri("postgres"), Settings(pool_size=2)) as database:
            deployer = SigningAccount.from_key(node.accounts[0].private_key, node.rpc, 31_337)
            plan = Plan(treasury=node.accounts[0].address, tokens={}, test_tokens=True)
            steps = [step async for step in deploy(Chain("ethereum", 31_337, node.rpc, 1), deployer, database, plan)]
        contracts = {each.contract.name: str(each.contract.address) for each in steps if each.contract is not None}
        port, chains = free_port(), (ChainSettings("ethereum", 31_337, (node.url,), confirmations=1),)
        told = {
            "DATABASE_URL": postgres.address(cluster, ROLE, "postgres"),
            "DATABASE_OWNER_URL": cluster.get_uri("postgres"),
            "ENTREPOT_CHAINS": msgspec.json.encode(chains).decode(),
            "ENTREPOT_VAULT_KEYS": VAULT,
            "ENTREPOT_HOME": str(folder),
            "ENTREPOT_PORT": str(port),
            "ENTREPOT_READS_PER_MINUTE": "1000000",
        }
        for name in ("worker", "serve"):
            await stack.enter_async_context(entrepot(name, [name], folder / f"{name}.log", told))
        owner = await asyncpg.connect(cluster.get_uri("postgres"))
        stack.push_async_callback(owner.close)
        yield Market(node, contracts, owner, f"http://127.0.0.1:{port}")


async def furnish(market: Market, buyer: str, seller: str, orders: int) -> list[UUID]:
    """So many orders, mirrored; from then on the node makes a block each second."""
    token, escrow = market.contracts["USDC"], market.contracts["P2PEscrow"]
    units = 10**12
    await market.act(buyer, token, TOKEN.encode_call("mint", buyer, units))
    await market.act(buyer, token, TOKEN.encode_call("approve", escrow, units))
    creation = ESCROW.encode_call("createOrder", seller, token, 25 * 10**6, bytes(range(32)), bytes(32))
    for _ in range(orders):
        await market.act(buyer, escrow, creation)
    ends = time.monotonic() + 60
    while len(rows := await market.owner.fetch(ORDERS)) < orders:
        if time.monotonic() > ends:
            raise RuntimeError(f"the mirror has {len(rows)} of {orders} orders after a minute")
        await asyncio.sleep(0.1)
    await market.node.rpc.call("evm_setIntervalMining", [1])
    return [row["id"] for row in rows]


async def shown(client: Client, order: UUID) -> float:
    """When the API shows that it was cancelled."""
    while (await client.order(order)).status is not OrderStatus.CANCELLED:  # noqa: ASYNC110 - as a page would look
        await asyncio.sleep(LOOK)
    return time.perf_counter()


async def sample(market: Market, samples: int, tell: Callable[[str], None]) -> list[float]:
    """Seconds from the block's announcement until the API shows the new status, one order a block."""
    buyer, seller = market.node.accounts[2], market.node.accounts[3]
    orders = await furnish(market, buyer.address, seller.address, samples)
    heads, found = Heads(), []
    async with heads.heard(market.node), Client(market.url, Account.from_key(buyer.private_key)) as client:
        await client.sign_in()
        for number, order in enumerate(orders, 1):
            data = ESCROW.encode_call("cancelOrder", number)
            sent = await market.act(buyer.address, market.contracts["P2PEscrow"], data)
            seen = await asyncio.wait_for(shown(client, order), 30)
            found.append(seen - heads.at[await market.mined_in(sent)])
            if number % 20 == 0:
                tell(f"{number} blocks, the last shown after {found[-1] * 1e3:.0f} ms")
    return sorted(found)


async def measure(cluster: postgres.Server, folder: Path, samples: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """The middle, the 95th percentile and the worst, in seconds."""
    async with opened(cluster, folder) as market:
        found = await sample(market, samples, tell)
    return {
        "samples": samples,
        "p50": found[len(found) // 2],
        "p95": found[int(len(found) * 0.95)],
        "highest": found[-1],
        "goal": GOAL,
        "seconds": found,
        "load": list(os.getloadavg()),
    }


def run(tell: Callable[[str], None], samples: int = SAMPLES) -> dict[str, Any]:
    """On a PostgreSQL of its own, whose commits are durable."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-bench-"))
    with (
        tempfile.TemporaryDirectory(prefix="entrepot-home-") as home,
        postgres.started(folder, throw_away=True) as cluster,
    ):
        return asyncio.run(measure(cluster, Path(home), samples, tell))


def table(result: dict[str, Any]) -> list[str]:
    """One line."""
    met = "yes" if result["p95"] <= result["goal"] else "NO"
    p50, p95, highest, goal = (result[name] * 1e3 for name in ("p50", "p95", "highest", "goal"))
    return [
        f"{result['samples']} blocks of one second on anvil, each with one move of an order; `entrepot serve` and",
        f"`entrepot worker` as processes; the client looks every {LOOK * 1e3:.0f} ms, which the figures include.",
        "Commits are durable.",
        "",
        "| from the mined block to the status in the API | p50 ms | p95 ms | highest ms | goal p95 ms | met |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| one move of one order | {p50:.0f} | {p95:.0f} | {highest:.0f} | {goal:.0f} | {met} |",
    ]
