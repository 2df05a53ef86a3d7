"""A whole trade, from listing to payout: by the public interface and by transactions that are signed here."""

import asyncio
import hashlib
import os
from base64 import b64decode
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import uuid4

import aiohttp
from nacl.public import Box, PublicKey, SealedBox
from nacl.secret import SecretBox

from entrepot import console
from entrepot.console import Failed
from entrepot.dev.visitor import Document, Unexpected, Visitor, base64_of
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount, TransactionFailed
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.rpc import Receipt, Rpc
from entrepot.kernel.money import from_units, to_units

PRICE = Decimal("24.90")
FEE = Decimal("0.498")  # 2 %
ALLOWANCE = Decimal("100.00")  # what the buyer has to spend
PATIENCE = 30.0  # seconds that the mirror has for an event
LOOK = 0.05  # seconds between two looks
ONE_ETHER = 10**18
LISTING = {
    "title_preview": "The Danube at Vienna: water level every hour, 1998-2025",
    "description_preview": "Hourly levels at three gauges, 236 thousand rows; gaps marked, sources named.",
    "category": "data",
    "price_usdt": f"{PRICE}",
    "stock": 5,
}
GOOD = b"gauge,at,level_cm\nReichsbruecke,1998-01-01T00:00Z,231\nReichsbruecke,1998-01-01T01:00Z,232\n"
STATUSES = ("none", "created", "seller_confirmed", "completed")


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
    """One trade on a local chain between two who were never here before."""

    def __init__(self, http: aiohttp.ClientSession, rpc: Rpc, chain: tuple[str, int], treasury: str) -> None:
        self.rpc, self.chain, self.chain_id = rpc, *chain
        self.treasury, self.show = treasury, Show()
        self.seller, self.buyer = Visitor.new("seller", http), Visitor.new("buyer", http)
        self.accounts = {one.name: SigningAccount(one.wallet, rpc, self.chain_id) for one in (self.seller, self.buyer)}
        self.key = os.urandom(SecretBox.KEY_SIZE)
        self.parcel = SecretBox(self.key).encrypt(GOOD)  # lies anywhere; whoever has the key can open it
        self.escrow = Contract(Artifact.load("P2PEscrow").abi)
        self.token = Contract(Artifact.load("TestUSDT").abi)
        self.order = ""
        self.at: dict[str, str] = {}

    async def run(self) -> None:
        """Every step, in order. Raises `Failed` where one differs from what is expected."""
        try:
            product = await self.list_product()
            prepared = await self.reserve(product)
            before = await self.balances()
            await self.pay(prepared)
            await self.deliver()
            await self.talk()
            await self.open()
            await self.confirm()
            await self.withdraw()
            await self.settle(before)
        except TransactionFailed as failed:
            raise Unexpected(f"after step {self.show.number}: {failed}") from None

    async def list_product(self) -> str:
        """The seller signs in and lists a good that is encrypted with a key of its own."""
        for one in (self.seller, self.buyer):
            await self.rpc.call("anvil_setBalance", [one.address, hex(ONE_ETHER)])
        await self.seller.sign_in()
        self.show.step(f"seller {self.seller.address} signs in")
        given = {**LISTING, "product_hash": "0x" + hashlib.sha256(GOOD).hexdigest()}
        product: str = (await self.seller.call("POST", "escrow/products", given, key=str(uuid4())))["id"]
        self.show.step(f"seller lists “{LISTING['title_preview']}” for {PRICE} USDT")
        return product

    async def reserve(self, product: str) -> Document:
        """The buyer signs in and asks for the transactions that buy it."""
        await self.buyer.sign_in()
        self.show.step(f"buyer {self.buyer.address} signs in")
        given = {"product_id": product, "chain": self.chain, "token": "USDT"}
        key = str(uuid4())
        prepared = await self.buyer.call("POST", "escrow/orders", given, key=key)
        expect("the same command again", await self.buyer.call("POST", "escrow/orders", given, key=key), prepared)
        expect("platform fee", Decimal(prepared["platform_fee"]), FEE)
        expect("total", Decimal(prepared["total"]), PRICE + FEE)
        expect("chain id", prepared["chain_id"], self.chain_id)
        self.order = prepared["id"]
        self.at = {"token": prepared["approval"]["to"], "escrow": prepared["transaction"]["to"]}
        self.show.step(f"buyer reserves one for 15 minutes: {PRICE} + {FEE} fee = {PRICE + FEE} USDT")
        decimals = await self.view("token", "decimals")
        minted = self.token.encode_call("mint", self.buyer.address, to_units(ALLOWANCE, decimals))
        receipt = await self.accounts["buyer"].send(self.at["token"], minted)
        self.show.step(f"the test token gives the buyer {ALLOWANCE} USDT", tx=receipt.tx_hash)
        return prepared

    async def pay(self, prepared: Document) -> None:
        """Approval and createOrder; the mirror makes the order of the event."""
        expect("the order before it is paid", (await self.buyer.ask("GET", f"escrow/orders/{self.order}"))[0], 404)
        approved = await self.send(self.buyer, prepared["approval"])
        self.show.step(f"buyer allows the escrow contract to take {PRICE + FEE} USDT", tx=approved.tx_hash)
        created = await self.send(self.buyer, prepared["transaction"])
        order = await self.until("created")
        expect("tx_hash_create", order["tx_hash_create"], created.tx_hash)
        expect("amount", Decimal(order["amount"]), PRICE)
        self.at["number"] = str(order["onchain_order_id"])
        text = f"buyer locks {PRICE + FEE} USDT: order {order['onchain_order_id']} of the contract"
        self.show.step(text, tx=created.tx_hash, status=order["status"])

    async def deliver(self) -> None:
        """The key of the good, sealed so that only the buyer can open it, and the seller's confirmation."""
        order = await self.seller.call("GET", f"escrow/orders/{self.order}")
        expect("the buyer's public key", order["buyer_public_key"], self.buyer.public_key)
        sealed = SealedBox(PublicKey(b64decode(order["buyer_public_key"]))).encrypt(self.key)
        given = {"product_key_encrypted": base64_of(sealed), "buyer_public_key": order["buyer_public_key"]}
        delivery = await self.seller.call("POST", f"escrow/orders/{self.order}/delivery", given, key=str(uuid4()))
        expect("delivery hash", delivery["delivery_hash"], "0x" + hashlib.sha256(sealed).hexdigest())
        self.show.step("seller hands in the key, sealed to the buyer's public key")
        receipt = await self.send(self.seller, delivery["transaction"])
        order = await self.until("seller_confirmed")
        self.show.step("seller confirms the delivery to the contract", tx=receipt.tx_hash, status=order["status"])

    async def talk(self) -> None:
        """A message and its answer, which the server cannot read."""
        for sender, receiver, text in (
            (self.buyer, self.seller, b"Got it, thank you! Is the gauge at Nussdorf included?"),
            (self.seller, self.buyer, b"It is: the third gauge. Enjoy the river."),
        ):
            sent = Box(sender.box, receiver.box.public_key).encrypt(text)
            given = {"ciphertext": base64_of(sent.ciphertext), "nonce": base64_of(sent.nonce)}
            await sender.call("POST", f"escrow/orders/{self.order}/messages", given, key=str(uuid4()))
            newest = (await receiver.call("GET", f"escrow/orders/{self.order}/messages"))["items"][0]
            box = Box(receiver.box, sender.box.public_key)
            expect("the message", box.decrypt(b64decode(newest["ciphertext"]), b64decode(newest["nonce"])), text)
        self.show.step("buyer and seller write to each other, end to end encrypted")

    async def open(self) -> None:
        """The buyer opens the key, and with it the good."""
        order = await self.buyer.call("GET", f"escrow/orders/{self.order}")
        key = SealedBox(self.buyer.box).decrypt(b64decode(order["product_key_encrypted"]))
        expect("the opened key", key.hex(), self.key.hex())
        good = SecretBox(key).decrypt(self.parcel)
        expect("the good", hashlib.sha256(good).hexdigest(), hashlib.sha256(GOOD).hexdigest())
        self.show.step("buyer opens the key, and with it the good: its hash is the listing's")

    async def confirm(self) -> None:
        """The buyer confirms receipt, and the contract pays."""
        prepared = await self.buyer.call("POST", f"escrow/orders/{self.order}/confirm", key=str(uuid4()))
        receipt = await self.send(self.buyer, prepared["transaction"])
        order = await self.until("completed")
        expect("tx_hash_complete", order["tx_hash_complete"], receipt.tx_hash)
        self.show.step("buyer confirms receipt, the contract pays", tx=receipt.tx_hash, status=order["status"])

    async def withdraw(self) -> None:
        """The seller takes the payout out of the contract."""
        data = self.escrow.encode_call("withdraw", self.at["token"], self.seller.address)
        receipt = await self.accounts["seller"].send(self.at["escrow"], data)
        self.show.step("seller withdraws the payout", tx=receipt.tx_hash)

    async def settle(self, before: dict[str, Decimal]) -> None:
        """To the cent: who has what, and that chain and database say the same."""
        after = await self.balances()
        moved = {name: after[name] - before[name] for name in after}
        wanted = {"buyer": -PRICE - FEE, "seller": PRICE, "treasury": FEE, "contract": FEE}
        for name, sum_ in wanted.items():
            expect(f"what the {name} has more", moved[name], sum_)
        on_chain = await self.view("escrow", "getOrder", int(self.at["number"]))
        order = await self.seller.call("GET", f"escrow/orders/{self.order}")
        expect("the contract's status", STATUSES[on_chain.status], order["status"])
        told = ", ".join(f"{name} {sum_:+.3f}" for name, sum_ in moved.items() if name != "contract")
        self.show.step(f"accounts agree, in USDT: {told}", status=order["status"])

    async def balances(self) -> dict[str, Decimal]:
        """What everyone has: tokens, and for the treasury its credit in the contract."""
        decimals = await self.view("token", "decimals")
        units = {
            "buyer": await self.view("token", "balanceOf", self.buyer.address),
            "seller": await self.view("token", "balanceOf", self.seller.address),
            "treasury": await self.view("escrow", "credits", self.treasury, self.at["token"]),
            "contract": await self.view("token", "balanceOf", self.at["escrow"]),
        }
        return {name: from_units(each, decimals) for name, each in units.items()}

    async def view(self, contract: str, function: str, *arguments: object) -> Any:
        """What a view of the token or the escrow answers."""
        abi = self.token if contract == "token" else self.escrow
        answer = await self.rpc.call_contract(self.at[contract], abi.encode_call(function, *arguments))
        return abi.decode_result(function, answer)

    async def send(self, who: Visitor, unsigned: Document) -> Receipt:
        """Signs and sends what the interface answered."""
        expect("chain id", unsigned["chain_id"], self.chain_id)
        data = bytes.fromhex(unsigned["data"].removeprefix("0x"))
        return await self.accounts[who.name].send(unsigned["to"], data, int(unsigned["value"], 16))

    async def until(self, status: str) -> Document:
        """The order, once the database says so; the mirror gets there by itself."""
        ends = monotonic() + PATIENCE
        while True:
            code, answer = await self.buyer.ask("GET", f"escrow/orders/{self.order}")
            if code == 200 and answer["status"] == status:
                return answer
            if monotonic() > ends:
                found = answer["status"] if code == 200 else f"not there ({code}: {answer.get('detail', '')})"
                head = await self.rpc.head()
                waited = f"waited {PATIENCE:.0f} s for order {self.order} to be {status}"
                raise Failed(f"{waited}; it is {found}, the chain at block {head}", "look into the worker's log")
            await asyncio.sleep(LOOK)
