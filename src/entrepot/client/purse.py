"""The wallet on its chains: sends what the server prepared, after it has seen that it is what was asked for."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from eth_account.signers.local import LocalAccount

from entrepot.apps.escrow import events, transactions
from entrepot.apps.escrow.calls.orders import OrderCard, PreparedOrder, UnsignedTransaction
from entrepot.apps.escrow.calls.products import Product
from entrepot.client.failures import WrongTransaction
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.rpc import Receipt, Rpc
from entrepot.kernel.money import to_units
from entrepot.kernel.wallet import Wallet, checksum

TOKEN = Contract(Artifact.load("TestUSDC").abi)
"""Of ERC-20, what every token has: decimals, allowance, balanceOf."""


@dataclass(frozen=True)
class Place:
    """Where an order lies on its chain, by the receipt of its creation."""

    escrow: Wallet
    token: Wallet
    number: int


class Purse:
    """One key on several chains. `endpoints` are RPC addresses by the market's name of the chain.

    `escrows` are the contracts that the key may deal with, by chain; where none is named, the server is believed.
    """

    def __init__(
        self, key: LocalAccount, endpoints: Mapping[str, Sequence[str]], escrows: Mapping[str, str] | None = None
    ) -> None:
        self._key, self._endpoints = key, dict(endpoints)
        self._escrows = {chain: checksum(address) for chain, address in (escrows or {}).items()}
        self._accounts: dict[str, SigningAccount] = {}
        self._opening, self._stack = asyncio.Lock(), AsyncExitStack()
        self._sending = {chain: asyncio.Lock() for chain in self._endpoints}
        self._buying = {chain: asyncio.Lock() for chain in self._endpoints}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._accounts.clear()
        await self._stack.aclose()

    async def account(self, chain: str) -> SigningAccount:
        """The key on that chain, which is connected to when it is first needed."""
        if chain not in self._endpoints:
            raise LookupError(f"this client was given no endpoint of {chain}")
        async with self._opening:
            if chain not in self._accounts:
                rpc = await self._stack.enter_async_context(Rpc(self._endpoints[chain]))
                self._accounts[chain] = SigningAccount(self._key, rpc, await rpc.chain_id())
        return self._accounts[chain]

    async def send(self, chain: str, wanted: UnsignedTransaction) -> Receipt:
        """Signs, sends, and waits for the block. Raises `TransactionFailed`."""
        account = await self.account(chain)
        if wanted.chain_id != account.chain_id:
            raise WrongTransaction(f"it is for chain {wanted.chain_id}; {chain} is {account.chain_id}")
        async with self._sending[chain]:
            return await account.send(wanted.to, bytes.fromhex(wanted.data[2:]), int(wanted.value, 16))

    async def view(self, chain: str, contract: Contract, at: str, function: str, *arguments: object) -> Any:
        """What a view answers."""
        account = await self.account(chain)
        answer = await account.rpc.call_contract(at, contract.encode_call(function, *arguments))
        return contract.decode_result(function, answer)

    async def place(self, order: OrderCard) -> Place:
        """Where the order lies; the chain's own word, of which the server only says in which transaction it stands."""
        account = await self.account(order.chain)
        receipt = await account.rpc.receipt(order.tx_hash_create)
        for log in receipt.logs if receipt else ():
            event = events.contract().decode(log)
            if isinstance(event, events.OrderCreated) and event.order_id == order.onchain_order_id:
                if (event.buyer, event.seller) != (order.buyer_wallet, order.seller_wallet):
                    raise WrongTransaction(f"order {event.order_id} is not between those two")
                escrow = self._trusted(order.chain, checksum(log.address))
                return Place(escrow, Wallet(event.token), event.order_id)
        raise WrongTransaction(f"{order.tx_hash_create} on {order.chain} did not make order {order.onchain_order_id}")

    async def act(self, order: OrderCard, function: str, *more: object) -> Receipt:
        """A call of the contract that holds the order."""
        place, account = await self.place(order), await self.account(order.chain)
        return await self.send(
            order.chain, transactions.act(account.chain_id, place.escrow, function, place.number, *more)
        )

    async def checked_act(self, order: OrderCard, given: UnsignedTransaction, function: str, *more: object) -> Receipt:
        """The same, as the server prepared it. Raises `WrongTransaction`."""
        place = await self.place(order)
        if given != transactions.act(given.chain_id, place.escrow, function, place.number, *more):
            raise WrongTransaction(f"it is not {function} of order {place.number}")
        return await self.send(order.chain, given)

    async def check_purchase(self, chain: str, prepared: PreparedOrder, product: Product) -> None:
        """Raises `WrongTransaction` where the two transactions are not exactly the purchase of that listing."""
        token, escrow = prepared.approval.to, self._trusted(chain, prepared.transaction.to)
        decimals = await self.view(chain, TOKEN, token, "decimals")
        if prepared.amount != product.price_usdt or prepared.total != prepared.amount + prepared.platform_fee:
            raise WrongTransaction(f"{prepared.total} is not the price {product.price_usdt} and the fee")
        units, total = to_units(prepared.amount, decimals), to_units(prepared.total, decimals)
        creation = transactions.creation(
            prepared.chain_id, escrow, product.seller_wallet, token, units, product.product_hash, prepared.id
        )
        if prepared.approval != transactions.approval(prepared.chain_id, token, escrow, total):
            raise WrongTransaction("the approval is not of the total, to the contract that takes it")
        if prepared.transaction != creation:
            raise WrongTransaction("the order is not of this listing")

    async def purchase(self, chain: str, prepared: PreparedOrder, product: Product) -> Receipt:
        """Both transactions, checked; one purchase at a time, since each replaces the allowance of the other."""
        await self.check_purchase(chain, prepared, product)
        async with self._buying[chain]:
            await self.approve(chain, prepared)
            return await self.send(chain, prepared.transaction)

    async def approve(self, chain: str, prepared: PreparedOrder) -> Receipt | None:
        """Allows the escrow to take the total; None where it may already. USDT has to be set to zero in between."""
        token, escrow = prepared.approval.to, prepared.transaction.to
        account = await self.account(chain)
        allowed = await self.view(chain, TOKEN, token, "allowance", account.address, escrow)
        decimals = await self.view(chain, TOKEN, token, "decimals")
        if allowed >= to_units(prepared.total, decimals):
            return None
        if allowed:
            await self.send(chain, transactions.approval(prepared.chain_id, token, escrow, 0))
        return await self.send(chain, prepared.approval)

    def _trusted(self, chain: str, escrow: str) -> Wallet:
        if self._escrows.get(chain, escrow) != escrow:
            raise WrongTransaction(f"{escrow} is not the escrow contract on {chain} that this client deals with")
        return Wallet(escrow)
