"""A whole trade, from listing to payout: by the public interface and by transactions that are signed here."""

import hashlib
import os
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from eth_account import Account
from nacl.secret import SecretBox

from entrepot import console
from entrepot.client import (
    Category,
    ChainName,
    ChatLetter,
    Client,
    Late,
    OrderStatus,
    PreparedOrder,
    Ready,
    Refused,
    Token,
    TransactionFailed,
    Unreachable,
    WrongDelivery,
    WrongTransaction,
)
from entrepot.console import Failed
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.money import from_units, to_units
from entrepot.kernel.settings import ChainSettings
from entrepot.kernel.wallet import checksum

PRICE = Decimal("24.90")
FEE = Decimal("0.498")  # 2 %
ALLOWANCE = Decimal("100.00")  # what the buyer has to spend
PATIENCE = 30.0  # seconds that the mirror has for an event
ONE_ETHER = 10**18
TITLE = "The Danube at Vienna: water level every hour, 1998-2025"
DESCRIPTION = "Hourly levels at three gauges, 236 thousand rows; gaps marked, sources named."
GOOD = b"gauge,at,level_cm\nReichsbruecke,1998-01-01T00:00Z,231\nReichsbruecke,1998-01-01T01:00Z,232\n"
STATUSES = ("none", "created", "seller_confirmed", "completed")


class Unexpected(Failed):
    """The market did something else than the demonstration expects."""


def expect(what: str, found: object, wanted: object) -> None:
    """Raises `Unexpected` where they differ."""
    if found != wanted:
        raise Unexpected(f"{what}: expected {wanted}, found {found}")


@dataclass
class Show:
    """Prints each step with its number, its transaction and what the database says of the order."""

    number: int = 0
    began: float = field(default_factory=monotonic)

    def step(self, text: str, *, tx: str = "", status: str = "") -> None:
        """One step."""
        self.number += 1
        console.mark("good", f"{self.number:>2}  {text}")
        if tx:
            console.line(f"        [dim]tx[/] {tx}")
        if status:
            console.line(f"        [dim]order in the database:[/] [name]{status}[/]")


class Trade:
    """One trade on a local chain between two who were never here before. `treasury` is who gets the fee."""

    def __init__(self, url: str, domain: str, chain: ChainSettings, treasury: str) -> None:
        self.chain, self.chain_id, self.treasury, self.show = ChainName(chain.name), chain.chain_id, treasury, Show()
        self.seller, self.buyer = [
            Client(url, Account.create(), {chain.name: chain.endpoints}, domain=domain, patience=PATIENCE)
            for _ in range(2)
        ]
        self.key = os.urandom(SecretBox.KEY_SIZE)
        self.parcel = SecretBox(self.key).encrypt(GOOD)  # lies anywhere; whoever has the key can open it
        self.escrow = Contract(Artifact.load("P2PEscrow").abi)
        self.token = Contract(Artifact.load("TestUSDT").abi)
        self.at: dict[str, str] = {}

    async def run(self) -> None:
        """Every step, in order. Raises `Failed` where one differs from what is expected."""
        try:
            async with self.seller, self.buyer:
                product = await self.list_product()
                order = await self.reserve(product)
                before = await self.balances()
                await self.pay(order)
                await self.deliver(order.id)
                await self.talk(order.id)
                await self.chat()
                await self.open(order.id)
                await self.confirm(order.id)
                await self.withdraw(order.id)
                await self.settle(order.id, before)
        except (TransactionFailed, Refused, Unreachable, WrongTransaction, WrongDelivery) as failed:
            raise Unexpected(f"after step {self.show.number}: {failed}") from None
        except Late as late:
            raise Failed(str(late), "look into the worker's log") from None

    async def list_product(self) -> UUID:
        """The seller signs in and lists a good that is encrypted with a key of its own."""
        for one in (self.seller, self.buyer):
            account = await one.purse.account(self.chain)
            await account.rpc.call("anvil_setBalance", [one.wallet, hex(ONE_ETHER)])
        await self.seller.sign_in()
        self.show.step(f"seller {self.seller.wallet} signs in")
        product = await self.seller.products.create(
            title=TITLE,
            description=DESCRIPTION,
            category=Category.DATA,
            price=PRICE,
            stock=5,
            good="0x" + hashlib.sha256(GOOD).hexdigest(),
        )
        self.show.step(f"seller lists “{TITLE}” for {PRICE} USDT")
        return product.id

    async def reserve(self, product: UUID) -> PreparedOrder:
        """The buyer signs in and asks for the transactions that buy it."""
        await self.buyer.sign_in()
        self.show.step(f"buyer {self.buyer.wallet} signs in")
        key = str(uuid4())
        prepared, again = [await self.buyer.prepare_order(product, self.chain, Token.USDT, key=key) for _ in range(2)]
        expect("the same command again", again, prepared)
        expect("platform fee", prepared.platform_fee, FEE)
        expect("total", prepared.total, PRICE + FEE)
        expect("chain id", prepared.chain_id, self.chain_id)
        await self.buyer.purse.check_purchase(self.chain, prepared, await self.buyer.products.get(product))
        self.at = {"token": prepared.approval.to, "escrow": prepared.transaction.to}
        self.show.step(f"buyer reserves one for 15 minutes: {PRICE} + {FEE} fee = {PRICE + FEE} USDT")
        decimals = await self.view("token", "decimals")
        minted = self.token.encode_call("mint", self.buyer.wallet, to_units(ALLOWANCE, decimals))
        receipt = await (await self.buyer.purse.account(self.chain)).send(self.at["token"], minted)
        self.show.step(f"the test token gives the buyer {ALLOWANCE} USDT", tx=receipt.tx_hash)
        return prepared

    async def pay(self, prepared: PreparedOrder) -> None:
        """Approval and createOrder; the mirror makes the order of the event."""
        expect("the order before it is paid", await self.status(prepared.id), None)
        approved = await self.buyer.purse.approve(self.chain, prepared)
        tx = approved.tx_hash if approved else ""
        self.show.step(f"buyer allows the escrow contract to take {PRICE + FEE} USDT", tx=tx)
        created = await self.buyer.purse.send(self.chain, prepared.transaction)
        order = await self.buyer.until(prepared.id, OrderStatus.CREATED)
        expect("tx_hash_create", order.tx_hash_create, created.tx_hash)
        expect("amount", order.amount, PRICE)
        text = f"buyer locks {PRICE + FEE} USDT: order {order.onchain_order_id} of the contract"
        self.show.step(text, tx=created.tx_hash, status=order.status)

    async def deliver(self, order: UUID) -> None:
        """The key of the good, sealed so that only the buyer can open it, and the seller's confirmation."""
        expect("the buyer's public key", (await self.seller.order(order)).buyer_public_key, self.buyer.boxes.public_key)
        delivery = await self.seller.hand_in(order, self.key)
        self.show.step("seller hands in the key, sealed to the buyer's public key")
        receipt = await self.seller.confirm_delivery(order, delivery)
        seen = await self.seller.until(order, OrderStatus.SELLER_CONFIRMED)
        self.show.step("seller confirms the delivery to the contract", tx=receipt.tx_hash, status=seen.status)

    async def talk(self, order: UUID) -> None:
        """A message and its answer, which the server cannot read."""
        for sender, receiver, text in (
            (self.buyer, self.seller, "Got it, thank you! Is the gauge at Nussdorf included?"),
            (self.seller, self.buyer, "It is: the third gauge. Enjoy the river."),
        ):
            seen = await sender.order(order)
            await sender.messages.send(seen, text)
            letters = [letter async for letter in receiver.messages.read(seen)]
            expect("the message", (letters[0].sender, letters[0].text), (sender.wallet, text))
        self.show.step("buyer and seller write to each other, end to end encrypted")

    async def chat(self) -> None:
        """The same two in the chat, where the seller hears at once what the buyer writes."""
        text = "Do you have the Thaya, too?"
        async with aclosing(self.seller.chat.follow()) as events:
            expect("the first event", type(await anext(events)), Ready)
            await self.buyer.chat.send(self.seller.wallet, text)
            letters = (event async for event in events if isinstance(event, ChatLetter))
            letter = await anext(letters)
            expect("what the seller hears", (letter.sender, letter.text), (self.buyer.wallet, text))
            await self.seller.chat.mark(letter.conversation, read=letter.seq)
        [listed] = [each async for each in self.buyer.chat.conversations()]
        expect("how far the seller has read", listed.other_read_seq, letter.seq)
        self.show.step("buyer and seller chat over a live stream, end to end encrypted")

    async def open(self, order: UUID) -> None:
        """The buyer opens the key, and with it the good."""
        key = await self.buyer.open_delivery(order)
        expect("the opened key", key.hex(), self.key.hex())
        good = SecretBox(key).decrypt(self.parcel)
        expect("the good", hashlib.sha256(good).hexdigest(), hashlib.sha256(GOOD).hexdigest())
        self.show.step("buyer opens the key, and with it the good: its hash is the listing's")

    async def confirm(self, order: UUID) -> None:
        """The buyer confirms receipt, and the contract pays."""
        seen = await self.buyer.confirm(order)
        account = await self.buyer.purse.account(self.chain)
        ending = await account.rpc.call("eth_getTransactionByHash", [seen.tx_hash_complete])
        expect("whose transaction ended it", checksum(ending["from"]), self.buyer.wallet)
        self.show.step("buyer confirms receipt, the contract pays", tx=str(seen.tx_hash_complete), status=seen.status)

    async def withdraw(self, order: UUID) -> None:
        """The seller takes the payout out of the contract."""
        paid = await self.seller.withdraw(order)
        expect("what the contract pays out", paid.amount, PRICE)
        self.show.step("seller withdraws the payout", tx=paid.receipt.tx_hash)

    async def settle(self, order: UUID, before: dict[str, Decimal]) -> None:
        """To the cent: who has what, and that chain and database say the same."""
        after = await self.balances()
        moved = {name: after[name] - before[name] for name in after}
        wanted = {"buyer": -PRICE - FEE, "seller": PRICE, "treasury": FEE, "contract": FEE}
        for name, sum_ in wanted.items():
            expect(f"what the {name} has more", moved[name], sum_)
        seen = await self.seller.order(order)
        on_chain = await self.view("escrow", "getOrder", seen.onchain_order_id)
        expect("the contract's status", STATUSES[on_chain.status], seen.status)
        told = ", ".join(f"{name} {sum_:+.3f}" for name, sum_ in moved.items() if name != "contract")
        self.show.step(f"accounts agree, in USDT: {told}", status=seen.status)

    async def balances(self) -> dict[str, Decimal]:
        """What everyone has: tokens, and for the treasury its credit in the contract."""
        decimals = await self.view("token", "decimals")
        units = {
            "buyer": await self.view("token", "balanceOf", self.buyer.wallet),
            "seller": await self.view("token", "balanceOf", self.seller.wallet),
            "treasury": await self.view("escrow", "credits", self.treasury, self.at["token"]),
            "contract": await self.view("token", "balanceOf", self.at["escrow"]),
        }
        return {name: from_units(each, decimals) for name, each in units.items()}

    async def view(self, contract: str, function: str, *arguments: object) -> Any:
        """What a view of the token or the escrow answers."""
        abi = self.token if contract == "token" else self.escrow
        return await self.buyer.purse.view(self.chain, abi, self.at[contract], function, *arguments)

    async def status(self, order: UUID) -> OrderStatus | None:
        """What the market shows of an order; None where it shows nothing."""
        try:
            return (await self.buyer.order(order)).status
        except Refused as refused:
            expect("why there is no order", refused.status, 404)
            return None
