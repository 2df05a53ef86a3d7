"""A market on two real chains, the second with tokens of 18 decimals, and wallets that act on both."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from entrepot.apps.escrow.tasks import escrow_indexer
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.db.database import Database
from tests import bazaar
from tests.apps.escrow.agreement import disagreements
from tests.apps.escrow.conftest import HASH, Caller, Market, opened_market
from tests.bazaar import ESCROW, TOKEN, Bazaar
from tests.conftest import TestDatabase, settings_for

CHAINS = {"ethereum": 31_337, "bsc": 31_338}
GAS = hex(1_500_000)


@dataclass
class TwoChains:
    """A running server, and both chains with the mirrors of their contracts, which read when they are told."""

    market: Market
    chains: dict[str, Bazaar]
    indexers: dict[str, Indexer]

    async def mirror(self) -> None:
        """Both mirrors at once, until they have read everything."""
        await asyncio.gather(*(indexer.catch_up() for indexer in self.indexers.values()))
        for chain in self.chains.values():
            assert await disagreements(self.market.owner, chain) == []

    async def endow(self, chain: str, wallets: Sequence[Caller], *, allow: bool = False) -> None:
        """Gives each a hundred tokens, which the contract may take if so told, and lets the node sign for them."""
        place = self.chains[chain]
        units = 100 * 10 ** (place.contracts["USDT"].decimals or 0)
        ether = [("anvil_setBalance", [each.wallet, hex(10**18)]) for each in wallets]
        await place.node.rpc.batch([("anvil_autoImpersonateAccount", [True]), *ether])
        calls = []
        for each in wallets:
            calls.append((each.wallet, place.token(), TOKEN.encode_call("mint", each.wallet, units)))
            if allow:
                calls.append((each.wallet, place.token(), TOKEN.encode_call("approve", place.escrow, units)))
        await self.send(chain, calls)

    async def send(self, chain: str, calls: Sequence[tuple[str, str, bytes]]) -> None:
        """Calls (from, to, data), all in one block; those of one sender in their order."""
        rpc = self.chains[chain].node.rpc
        senders = list(dict.fromkeys(by for by, _, _ in calls))
        sent_before = await rpc.batch([("eth_getTransactionCount", [each, "latest"]) for each in senders], type=str)
        nonces = {each: itertools.count(int(number, 16)) for each, number in zip(senders, sent_before, strict=True)}
        told = [
            {"from": by, "to": to, "data": "0x" + data.hex(), "gas": GAS, "nonce": hex(next(nonces[by]))}
            for by, to, data in calls
        ]
        await rpc.batch([("evm_setAutomine", [False]), ("evm_setBlockGasLimit", [hex(10**9)])])
        sent = await rpc.batch([("eth_sendTransaction", [each]) for each in told])
        await rpc.batch([("anvil_mine", ["0x1"]), ("evm_setAutomine", [True])])
        for tx_hash in sent:
            receipt = await rpc.receipt(tx_hash)
            assert receipt is not None
            assert receipt.succeeded

    async def buys(self, buyer: Caller, prepared: dict[str, Any], chain: str) -> None:
        """Sends what was prepared, as a wallet does."""
        both = (prepared["approval"], prepared["transaction"])
        await self.send(chain, [(buyer.wallet, each["to"], bytes.fromhex(each["data"][2:])) for each in both])

    def around(self, chain: str, buyer: Caller, seller: Caller, price: int) -> tuple[str, str, bytes]:
        """The call that makes an order of that many tokens around the API."""
        place = self.chains[chain]
        units = price * 10 ** (place.contracts["USDT"].decimals or 0)
        good = bytes.fromhex(HASH[2:])
        data = ESCROW.encode_call("createOrder", seller.wallet, place.token(), units, good, bytes(32))
        return buyer.wallet, place.escrow, data


@asynccontextmanager
async def two_chains(database: TestDatabase) -> AsyncIterator[TwoChains]:
    """Everything, for as long as the block lasts."""
    async with AsyncExitStack() as stack:
        doors = await stack.enter_async_context(Database(database.url, settings_for(database)))
        opening = (stack.enter_async_context(bazaar.opened(doors, name, number)) for name, number in CHAINS.items())
        places = {place.chain: place for place in [await each for each in opening]}
        told = tuple(place.settings for place in places.values())
        chains = await stack.enter_async_context(Chains(told))
        found = {name: await escrow_indexer(doors, chains, name) for name in places}
        indexers = {name: indexer for name, indexer in found.items() if indexer is not None}
        market = await stack.enter_async_context(opened_market(database, chains=told))
        yield TwoChains(market, places, indexers)
