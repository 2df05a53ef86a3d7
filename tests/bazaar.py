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
TOKEN = Contract(Artifact.load("TestUSDC").abi)
RICH = 10**12 * 10**6
EVM_ACCOUNTS = 10


@dataclass
class Bazaar:
    """P2PEscrow and two tokens on an anvil. The parties are anvil's own accounts, which it signs for."""

    node: Anvil
    chain: str
    contracts: dict[str, Deployed] = field(default_factory=dict)
    _sent: list[str] = field(default_factory=list)

    @property
    def settings(self) -> ChainSettings:
        """The chain as the house is told of it."""
        return ChainSettings(self.chain, 31_337, (self.node.url,), confirmations=1)

    @property
    def parties(self) -> tuple[Account, ...]:
        """Everyone but the deployer."""
        return self.node.accounts[1:]

    @property
    def escrow(self) -> str:
        """The contract's address."""
        return str(self.contracts["P2PEscrow"].address)

    def token(self, symbol: str = "USDT") -> str:
        """A token's address."""
        return str(self.contracts[symbol].address)

    async def call(self, function: str, *arguments: object) -> Any:
        """A view of the escrow contract."""
        answer = await self.node.rpc.call_contract(self.escrow, ESCROW.encode_call(function, *arguments))
        return ESCROW.decode_result(function, answer)

    async def send(self, sender: str, to: str, data: bytes) -> str:
        """Hands a call to the node and does not wait; answers the transaction's hash."""
        call = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(1_500_000)}
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

    async def fund(self, buyers: tuple[Account, ...], symbol: str = "USDT") -> None:
        """Gives everyone of them tokens and lets the contract take them."""
        token = self.token(symbol)
        for buyer in buyers:
            await self.send(buyer.address, token, TOKEN.encode_call("mint", buyer.address, RICH))
            await self.send(buyer.address, token, TOKEN.encode_call("approve", self.escrow, RICH))


@asynccontextmanager
async def opened(database: Database, chain: str = "ethereum") -> AsyncIterator[Bazaar]:
    """A fresh chain with the contracts deployed and noted in that database."""
    async with anvil(accounts=EVM_ACCOUNTS) as node:
        deployer = SigningAccount.from_key(node.accounts[0].private_key, node.rpc, 31_337)
        plan = Plan(treasury=node.accounts[0].address, tokens={}, test_tokens=True)
        place = Chain(chain, 31_337, node.rpc, 1)
        async for _step in deploy(place, deployer, database, plan):
            pass
        async with database.read() as db:
            noted = {contract.name: contract for contract in await everything(db) if contract.chain == chain}
        bazaar = Bazaar(node, chain, noted)
        await bazaar.fund(bazaar.parties)
        yield bazaar
