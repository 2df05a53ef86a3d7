"""A chain full of real orders: made once by contracts that act in bulk, kept as anvil's own state file."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench import server
from entrepot.dev.anvil import Anvil, anvil
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.deploy import Plan, deploy
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.db.database import Database
from entrepot.kernel.values import ENCODER, trust_value
from entrepot.kernel.wallet import checksum

VERSION = 1
NAME, CHAIN_ID = "ethereum", 31_337
CROWD = Artifact.load("Crowd", Path(__file__).parent / "contracts" / "built")
CALLS = Contract(CROWD.abi)
TOKEN = Contract(Artifact.load("TestUSDT").abi)
PARTIES = 64
CALLS_A_BLOCK, ORDERS_A_CALL = 20, 10  # anvil copies the whole state for each block: few blocks are quick to make
PRICE = 25 * 10**6
GAS = hex(4_000_000)
FIRST_REFERENCE = 0x0195_0000_0000_7000_8000_0000_0000_0000  # a UUID of version 7; the others count up from it


class Street(msgspec.Struct, frozen=True):
    """What is on the chain: our contracts, the parties, and how many events there are."""

    contracts: list[Deployed]
    parties: list[str]
    orders: int
    events: int

    def named(self, name: str) -> str:
        """The address of a contract."""
        return str(next(each.address for each in self.contracts if each.name == name))


@dataclass(frozen=True)
class Deal:
    """A call that makes some orders: the first order's number, the parties by their place, and the good."""

    first: int

    @property
    def buyer(self) -> int:
        """By its place among the parties."""
        return self.first // ORDERS_A_CALL % PARTIES

    @property
    def seller(self) -> int:
        """By its place among the parties; another than the buyer's."""
        return (self.buyer + 1 + self.first // 640 % (PARTIES - 1)) % PARTIES

    @property
    def good(self) -> bytes:
        """One of ten of this seller's."""
        return good(self.seller, self.first // ORDERS_A_CALL % 10)

    @property
    def is_cancelled(self) -> bool:
        """One call in ten."""
        return self.first // ORDERS_A_CALL % 10 == 7

    @property
    def reference(self) -> int:
        """Of its first order; 0 for every other call, which goes around the API."""
        return FIRST_REFERENCE + self.first if self.first // ORDERS_A_CALL % 2 else 0


def good(seller: int, number: int) -> bytes:
    """The hash of a good."""
    return hashlib.sha256(f"{seller} {number}".encode()).digest()


def files(orders: int) -> tuple[Path, Path]:
    """Where the chain's state and its description are kept; the name changes with all that they depend on."""
    built = Artifact.load("P2PEscrow").bytecode + CROWD.bytecode
    name = hashlib.sha256(f"{VERSION} {orders} {built.hex()}".encode()).hexdigest()[:16]
    return server.directory() / f"street-{name}.state.json", server.directory() / f"street-{name}.json"


async def paved(orders: int, database: Database, tell: Callable[[str], None]) -> tuple[Path, Street]:
    """The state file and what is in it, made now if need be. `database` is a fresh one, for the deployment's notes."""
    state, about = files(orders)
    if not about.exists():
        state.unlink(missing_ok=True)
        tell(f"making a chain of {orders:,} orders")
        async with anvil(state=state, chain_id=CHAIN_ID) as node:
            street = await build(node, orders, database, tell)
        about.write_bytes(ENCODER.encode(street))
    return state, msgspec.json.decode(about.read_bytes(), type=Street, dec_hook=trust_value)


@asynccontextmanager
async def opened(state: Path) -> AsyncIterator[Anvil]:
    """A node on a copy of that chain, so that what happens to it is not kept."""
    copy = state.with_name(f"run-{state.name}")
    await asyncio.to_thread(shutil.copyfile, state, copy)
    try:
        async with anvil(state=copy, chain_id=CHAIN_ID) as node:
            yield node
    finally:
        copy.unlink(missing_ok=True)


async def build(node: Anvil, orders: int, database: Database, tell: Callable[[str], None]) -> Street:
    """Deploys everything and trades."""
    await node.rpc.call("evm_setBlockGasLimit", [hex(10**9)])
    contracts = [each async for each in _deployed(node, database)]
    at = {each.name: str(each.address) for each in contracts}
    parties = await _parties(node, at)
    await node.rpc.call("evm_setAutomine", [False])
    deals = [Deal(first) for first in range(1, orders + 1, ORDERS_A_CALL)]
    blocks = [deals[n : n + CALLS_A_BLOCK] for n in range(0, len(deals), CALLS_A_BLOCK)]
    for number, new in enumerate([*blocks, [], []]):
        older = [blocks[number - age] if age <= number < len(blocks) + age else [] for age in (1, 2)]
        await _block(node, parties, [*_opened(new, at, parties), *_delivered(older[0]), *_ended(older[1])], at)
        if number % 50 == 0:
            tell(f"block {number:,} of {len(blocks):,}")
    return Street(contracts, parties, orders, sum(2 if deal.is_cancelled else 3 for deal in deals) * ORDERS_A_CALL)


Call = tuple[int, str, tuple[Any, ...]]
"""Which party does what."""


def _opened(deals: list[Deal], at: dict[str, str], parties: list[str]) -> Iterator[Call]:
    for deal in deals:
        terms = (parties[deal.seller], at["USDT"], PRICE, deal.good, deal.reference, ORDERS_A_CALL)
        yield deal.buyer, "buy", terms


def _delivered(deals: list[Deal]) -> Iterator[Call]:
    for deal in deals:
        who, what = (deal.buyer, "cancel") if deal.is_cancelled else (deal.seller, "deliver")
        yield who, what, (deal.first, ORDERS_A_CALL)


def _ended(deals: list[Deal]) -> Iterator[Call]:
    for deal in deals:
        if not deal.is_cancelled:
            yield deal.buyer, "confirm", (deal.first, ORDERS_A_CALL)


async def _block(node: Anvil, parties: list[str], calls: list[Call], at: dict[str, str]) -> None:
    """One block with these calls, in their order, as one account sends them."""
    nonce = await node.rpc.nonce(node.accounts[1].address)
    sent = [
        {
            "from": node.accounts[1].address,
            "nonce": hex(nonce + place),  # the calls of one request overtake each other
            "to": parties[who],
            "data": "0x" + CALLS.encode_call(what, at["P2PEscrow"], *arguments).hex(),
            "gas": GAS,
        }
        for place, (who, what, arguments) in enumerate(calls)
    ]
    if sent:
        await node.rpc.batch([("eth_sendTransaction", [each]) for each in sent])
    await node.rpc.call("anvil_mine", ["0x1"])


async def _deployed(node: Anvil, database: Database) -> AsyncIterator[Deployed]:
    """The market's contracts, as an operator deploys them."""
    deployer = SigningAccount.from_key(node.accounts[0].private_key, node.rpc, CHAIN_ID)
    plan = Plan(treasury=node.accounts[0].address, tokens={}, test_tokens=True)
    async for step in deploy(Chain(NAME, CHAIN_ID, node.rpc, 1), deployer, database, plan):
        if step.contract is not None:
            yield step.contract


async def _parties(node: Anvil, at: dict[str, str]) -> list[str]:
    """The crowds, each with tokens that the escrow may take."""
    deployer = SigningAccount.from_key(node.accounts[1].private_key, node.rpc, CHAIN_ID)
    made = []
    for _ in range(PARTIES):
        party = checksum(str((await deployer.send(None, CROWD.bytecode)).contract))
        await deployer.send(at["USDT"], TOKEN.encode_call("mint", party, 10**9 * 10**6))
        await deployer.send(party, CALLS.encode_call("allow", at["USDT"], at["P2PEscrow"]))
        made.append(party)
    return made
