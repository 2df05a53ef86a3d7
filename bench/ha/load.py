"""Wallets that list and buy without a pause, and remember what was acknowledged to them, and when."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from time import monotonic
from typing import TypeVar
from uuid import UUID, uuid4

from eth_account import Account

from entrepot.client import Category, ChainName, Client, Late, Refused, Token, Unreachable
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.settings import ChainSettings

T = TypeVar("T")
PASSING = frozenset({502, 503, 504})
PAUSE = 0.1  # seconds between two attempts while the database is away
ONE_ETHER = 10**18
PLENTY = 10**15  # units of the test token
TEST_TOKEN = Contract(Artifact.load("TestUSDT").abi)
PRICE = Decimal("5.00")
ORDERS_OF_A_NEW_SELLER = 3


@dataclass
class Record:
    """What was acknowledged, at which moments, and what was not. Times are of the monotonic clock, in seconds."""

    products: dict[UUID, str] = field(default_factory=dict)
    orders: dict[UUID, str] = field(default_factory=dict)
    """An order that the market has shown, and the transaction that locked its money."""
    at: list[float] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    """How often something else than an acknowledgement came, by what it was."""

    def acknowledge(self) -> None:
        """Something was, now."""
        self.at.append(monotonic())

    def next_after(self, moment: float) -> float | None:
        """When something was acknowledged first after that moment."""
        return next((each for each in self.at if each > moment), None)

    def longest_gap(self, since: float, until: float) -> float:
        """The longest stretch in which nothing was acknowledged."""
        moments = [since, *(each for each in self.at if since < each < until), until]
        return max(later - earlier for earlier, later in pairwise(moments))


class Load:
    """All wallets at work. The server is asked again, under the same key, until it acknowledges."""

    def __init__(self, url: str, domain: str, chain: ChainSettings, record: Record) -> None:
        self.url, self.domain, self.chain, self.record = url, domain, chain, record
        self.shelf: asyncio.Queue[UUID] = asyncio.Queue(maxsize=200)

    def client(self) -> Client:
        """A wallet that was never here before."""
        return Client(self.url, Account.create(), {self.chain.name: self.chain.endpoints}, domain=self.domain)

    async def insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Until it is answered; a refusal that does not pass is a fault of the market, and raised."""
        while True:
            try:
                return await act()
            except (Unreachable, Late) as late:
                name = type(late).__name__
            except Refused as refused:
                if refused.status not in PASSING:
                    raise
                name = f"{refused.status} {refused.type}"
            self.record.answered[name] = self.record.answered.get(name, 0) + 1
            await asyncio.sleep(PAUSE)

    async def sell(self) -> None:
        """Opens one shop after the other, as someone new may take few orders a day."""
        while True:
            async with self.client() as seller:
                await self.insist(seller.sign_in)
                for _ in range(ORDERS_OF_A_NEW_SELLER):
                    await self.list_good(seller)

    async def list_good(self, seller: Client) -> None:
        """One good, of which there is one."""
        key = uuid4().hex
        good = "0x" + hashlib.sha256(key.encode()).hexdigest()
        made = await self.insist(
            lambda: seller.products.create(
                title=f"Trial {key}", description="Of failover.", category=Category.DATA,
                price=PRICE, stock=1, good=good, key=key,
            )
        )  # fmt: skip
        self.record.products[made.id] = good
        self.record.acknowledge()
        if not self.shelf.full():
            self.shelf.put_nowait(made.id)

    async def buy(self) -> None:
        """Reserves, locks the money in the contract, and waits until the market shows the order."""
        chain = ChainName(self.chain.name)
        async with self.client() as buyer:
            account = await buyer.purse.account(chain)
            await account.rpc.call("anvil_setBalance", [buyer.wallet, hex(ONE_ETHER)])
            await self.insist(buyer.sign_in)
            funded = False
            while True:
                product, key = await self.shelf.get(), uuid4().hex
                listing = await self.insist(lambda product=product: buyer.products.get(product))  # type: ignore[misc]
                order = await self.insist(
                    lambda product=product, key=key: buyer.prepare_order(product, chain, Token.USDT, key=key)  # type: ignore[misc]
                )
                self.record.acknowledge()
                if not funded:
                    await account.send(order.approval.to, TEST_TOKEN.encode_call("mint", buyer.wallet, PLENTY))
                    funded = True
                receipt = await buyer.purse.purchase(chain, order, listing)
                shown = await self.insist(lambda order=order: buyer.until(order.id))  # type: ignore[misc]
                self.record.orders[shown.id] = receipt.tx_hash
                self.record.acknowledge()
