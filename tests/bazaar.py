"""The contracts on a real EVM node, and parties that act on them, for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from entrepot.dev.anvil import Account, Anvil, anvil
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.deploy import Plan, deploy
from entrepot.kernel.chain.registry import Deployed, everything
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings

ESCROW = Contract(Artifact.load("P2PEscrow").abi)
POOL = Contract(Artifact.load("ArbitratorPool").abi)
TOKEN = Contract(Artifact.load("TestUSDC").abi)
RICH = 10**12  # whole tokens
EVM_ACCOUNTS = 10


@dataclass
class Bazaar:
    """Both contracts and two tokens on an anvil. The parties are anvil's own accounts, which it signs for."""

    node: Anvil
    chain: str
    chain_id: int = 31_337
    contracts: dict[str, Deployed] = field(default_factory=dict)
    _sent: list[str] = field(default_factory=list)

    @property
    def settings(self) -> ChainSettings:
        """The chain as the house is told of it."""
        return ChainSettings(self.chain, self.chain_id, (self.node.url,), confirmations=1)

    @property
    def parties(self) -> tuple[Account, ...]:
        """Everyone but the deployer."""
        return self.node.accounts[1:]

    @property
    def escrow(self) -> str:
        """The contract's address."""
        return str(self.contracts["P2PEscrow"].address)

    @property
    def pool(self) -> str:
        """The address of the arbitrators' pool."""
        return str(self.contracts["ArbitratorPool"].address)

    def token(self, symbol: str = "USDT") -> str:
        """A token's address."""
        return str(self.contracts[symbol].address)

    async def call(self, function: str, *arguments: object) -> Any:
        """A view of the escrow contract."""
        answer = await self.node.rpc.call_contract(self.escrow, ESCROW.encode_call(function, *arguments))
        return ESCROW.decode_result(function, answer)

    async def send(self, sender: str, to: str, data: bytes) -> str:
        """Hands a call to the node and does not wait; answers the transaction's hash."""
        call = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(3_000_000)}
        sent: str = await self.node.rpc.call("eth_sendTransaction", [call])
        self._sent.append(sent)
        return sent

    async def settled(self) -> None:
        """Waits until everything that was sent is in a block: anvil answers before it is."""
        while self._sent:
            if await self.node.rpc.receipt(self._sent[-1]) is None:
                await asyncio.sleep(0.01)
            else:
                self._sent.pop()

    async def reorg(self, depth: int) -> None:
        """Takes back the last blocks. Anvil loses blocks when it is still making one, so that is waited for."""
        await self.settled()
        await self.node.reorg(depth)

    async def act(self, sender: str, function: str, *arguments: object) -> str:
        """A call of the escrow contract, once it is in a block: anvil orders those of several parties as it likes."""
        sent = await self.send(sender, self.escrow, ESCROW.encode_call(function, *arguments))
        await self.settled()
        return sent

    async def in_pool(self, function: str, *arguments: object) -> Any:
        """A view of the pool."""
        answer = await self.node.rpc.call_contract(self.pool, POOL.encode_call(function, *arguments))
        return POOL.decode_result(function, answer)

    async def stake(self, arbitrator: Account, tokens: int, function: str = "register") -> None:
        """Makes somebody with tokens a member of the pool, or (`increaseStake`) gives more for one."""
        units = tokens * 10 ** (self.contracts["USDT"].decimals or 0)
        await self.send(arbitrator.address, self.token(), TOKEN.encode_call("approve", self.pool, units))
        await self.settled()
        await self.send(arbitrator.address, self.pool, POOL.encode_call(function, units))
        await self.settled()

    async def leave_pool(self, arbitrator: Account) -> None:
        """Takes the stake out."""
        await self.send(arbitrator.address, self.pool, POOL.encode_call("withdraw"))
        await self.settled()

    async def draw(self, number: int) -> str:
        """Lets the chain come past the block that decides, and draws; who it is."""
        order = await self.call("getOrder", number)
        await self.node.mine(max(1, order.draw_block + 1 - await self.node.rpc.head()))
        await self.act(self.parties[0].address, "drawArbitrator", number)
        return str((await self.call("getOrder", number)).arbitrator)

    async def fund(self, buyers: tuple[Account, ...], symbol: str = "USDT") -> None:
        """Gives everyone of them tokens and lets the contract take them."""
        token, units = self.token(symbol), RICH * 10 ** (self.contracts[symbol].decimals or 0)
        for buyer in buyers:
            await self.send(buyer.address, token, TOKEN.encode_call("mint", buyer.address, units))
            await self.send(buyer.address, token, TOKEN.encode_call("approve", self.escrow, units))


@asynccontextmanager
async def opened(database: Database, chain: str = "ethereum", chain_id: int = 31_337) -> AsyncIterator[Bazaar]:
    """A fresh chain with the contracts deployed and noted in that database."""
    async with anvil(accounts=EVM_ACCOUNTS, chain_id=chain_id) as node:
        deployer = SigningAccount.from_key(node.accounts[0].private_key, node.rpc, chain_id)
        plan = Plan(treasury=node.accounts[0].address, tokens={}, test_tokens=True)
        place = Chain(chain, chain_id, node.rpc, 1)
        async for _step in deploy(place, deployer, database, plan):
            pass
        async with database.read() as db:
            noted = {contract.name: contract for contract in await everything(db) if contract.chain == chain}
        bazaar = Bazaar(node, chain, chain_id, noted)
        await bazaar.fund(bazaar.parties)
        yield bazaar
