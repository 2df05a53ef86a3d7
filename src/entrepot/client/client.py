"""A wallet in the market: signs in, lists, buys, delivers, writes, confirms and withdraws."""

import asyncio
import hashlib
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_address
from time import monotonic
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from msgspec import UNSET, UnsetType

from entrepot.apps.escrow import events, transactions
from entrepot.apps.escrow.calls.orders import (
    Deliver,
    Delivery,
    GetOrder,
    ListOrders,
    Order,
    OrderCard,
    OrderPage,
    PreparedAct,
    PreparedOrder,
    PrepareOrder,
    Role,
)
from entrepot.apps.escrow.calls.profiles import EditProfile, GetProfile, Profile
from entrepot.apps.escrow.calls.reviews import AddReview, ListReviews, Review, ReviewPage
from entrepot.apps.escrow.model import ChainName, OrderStatus, Token
from entrepot.client.boxes import Boxes, seal
from entrepot.client.chat.chat import Chat
from entrepot.client.disputes import Disputes
from entrepot.client.failures import Late, Refused, WrongDelivery, WrongTransaction
from entrepot.client.live import Live, LiveEvent
from entrepot.client.messages import Messages
from entrepot.client.products import Products
from entrepot.client.purse import TOKEN, Purse
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.chain.rpc import Receipt
from entrepot.kernel.identity.message import read_message
from entrepot.kernel.identity.model import AskNonce, Nonce, Session, SignIn
from entrepot.kernel.money import from_units
from entrepot.kernel.wallet import Wallet

LOOK, LONGEST_LOOK = 0.1, 1.0  # seconds between two looks at an order, which grow: servers limit reads


@dataclass(frozen=True)
class Withdrawal:
    """What the contract paid out, and in which transaction."""

    amount: Decimal
    receipt: Receipt


class Client:
    """One wallet in one market.

    `chains` are RPC addresses by the market's name of the chain; `escrows` the contracts that the wallet may deal with,
    by chain (where none is named, the server is believed). `domain` is what a sign-in message must name, by default the
    host of `url`. `patience` is how many seconds the market has to show what the chain has. What is sent to a chain
    raises `TransactionFailed` where it would fail or did, and `ChainFailure` where no endpoint answers.
    """

    def __init__(
        self,
        url: str,
        key: LocalAccount,
        chains: Mapping[str, Sequence[str]] | None = None,
        *,
        escrows: Mapping[str, str] | None = None,
        domain: str | None = None,
        patience: float = 60.0,
    ) -> None:
        self.wallet, self.patience = Wallet(key.address), patience
        self.boxes, self.purse, self.transport = Boxes(key), Purse(key, chains or {}, escrows), Transport(url)
        self.products = Products(self.transport, self.wallet)
        self.messages = Messages(self.transport, self.wallet, self.boxes)
        self.disputes = Disputes(self.transport, self.purse, self.boxes, self)
        self._live = Live(self.transport)
        self._key, self._domain, self._stack = key, domain or _host(url), AsyncExitStack()
        self.chat = Chat(self.transport, key, self.boxes, self._domain)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.transport)
        await self._stack.enter_async_context(self.purse)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    async def sign_in(self) -> Session:
        """By a signed message (EIP-4361). The first time makes the profile, with this wallet's own public key.

        Raises `WrongTransaction` for a message of another site, which would be a session there.
        """
        ask = asked(AskNonce, wallet=self.wallet)
        nonce = await self.transport.command("POST", "/auth/nonce", ask, Nonce)
        message = read_message(nonce.message)
        if (message.domain, message.wallet, message.nonce) != (self._domain, self.wallet, nonce.nonce):
            raise WrongTransaction(f"the message to sign is of {message.domain}, for {message.wallet}")
        signed = self._key.sign_message(encode_defunct(text=nonce.message)).signature
        given = asked(
            SignIn, message=nonce.message, signature="0x" + bytes(signed).hex(), public_key=self.boxes.public_key
        )
        session = await self.transport.command("POST", "/auth/verify", given, Session, again=False)
        self.transport.token = session.token
        return session

    async def profile(self, wallet: str | None = None) -> Profile:
        """Somebody's, or one's own."""
        ask = asked(GetProfile, wallet=wallet or self.wallet)
        return await self.transport.get("/escrow/profile/{wallet}", ask, Profile)

    async def edit_profile(self, *, display_name: str | UnsetType | None = UNSET, own_key: bool = False) -> Profile:
        """Changes one's name; `own_key` makes this wallet's own public key the one that others seal to."""
        key = self.boxes.public_key if own_key else UNSET
        ask = asked(EditProfile, by=self.wallet, display_name=display_name, public_key=key)
        return await self.transport.command("PATCH", "/escrow/profile", ask, Profile)

    async def prepare_order(self, product: UUID, chain: ChainName, token: Token, *, key: str = "") -> PreparedOrder:
        """Keeps one unit for fifteen minutes. `key` is the idempotency key: the same answers the same order."""
        ask = asked(PrepareOrder, by=self.wallet, product_id=product, chain=chain, token=token)
        return await self.transport.command("POST", "/escrow/orders", ask, PreparedOrder, key=key)

    async def buy(self, product: UUID, chain: ChainName, token: Token, *, most: Decimal | None = None) -> Order:
        """The order, made and paid for. `most` is what it may cost, the fee included."""
        listing = await self.products.get(product)
        prepared = await self.prepare_order(product, chain, token)
        if most is not None and prepared.total > most:
            raise WrongTransaction(f"it costs {prepared.total}, which is more than {most}")
        await self.purse.purchase(chain, prepared, listing)
        return await self.until(prepared.id)

    async def orders(self, *, role: Role = Role.ANY, status: OrderStatus | None = None) -> AsyncIterator[OrderCard]:
        """One's own trades, newest first, page after page."""
        ask = asked(ListOrders, by=self.wallet, role=role, status=status, limit=PAGE)
        async for card in self.transport.every("/escrow/orders", ask, OrderPage):
            yield card

    async def order(self, order: UUID) -> Order:
        """One trade."""
        return await self.transport.get("/escrow/orders/{id}", GetOrder(by=self.wallet, id=order), Order)

    async def until(self, order: UUID, *statuses: OrderStatus) -> Order:
        """The order, once the market shows it, in one of those states where any is named. Raises `Late`."""
        ends, pause = monotonic() + self.patience, LOOK
        while True:
            found = "not there"
            try:
                seen = await self.order(order)
                if not statuses or seen.status in statuses:
                    return seen
                found = seen.status
            except Refused as refused:
                if refused.status != 404:
                    raise
            if monotonic() > ends:
                raise Late(f"order {order} is {found} after {self.patience:.0f} s, not {' or '.join(statuses)}")
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, LONGEST_LOOK)

    def live(self, order: UUID | None = None, *, after: str | None = None) -> AsyncGenerator[LiveEvent, None]:
        """What happens to one trade, or to all one's own, as it happens; `client/live.py` says how it is read.

        Cancelling `anext()` ends it; `after`, the last event's cursor, goes on from there in another.
        """
        return self._live.follow(order, after=after)

    async def deliver(self, order: UUID, secret: bytes) -> Order:
        """Hands in what only the buyer shall read, and confirms it on the chain."""
        await self.confirm_delivery(order, await self.hand_in(order, secret))
        return await self.until(order, OrderStatus.SELLER_CONFIRMED)

    async def hand_in(self, order: UUID, secret: bytes) -> Delivery:
        """Seals it to the buyer's current public key and uploads it. May be done again until it is confirmed."""
        found = await self.order(order)
        buyer = await self.profile(found.buyer_wallet)
        if not buyer.public_key:
            raise WrongDelivery("the buyer has never signed in, so there is no key to seal to")
        sealed = seal(secret, buyer.public_key)
        ask = asked(Deliver, by=self.wallet, id=order, product_key_encrypted=sealed, buyer_public_key=buyer.public_key)
        delivery = await self.transport.command("POST", "/escrow/orders/{id}/delivery", ask, Delivery)
        if delivery.delivery_hash != "0x" + hashlib.sha256(ask.product_key_encrypted.raw).hexdigest():
            raise WrongDelivery("the server has another hash of what was handed in")
        return delivery

    async def confirm_delivery(self, order: UUID, delivery: Delivery) -> Receipt:
        """The seller's word to the contract, which starts the buyer's time."""
        digest = bytes.fromhex(delivery.delivery_hash[2:])
        found = await self.order(order)
        return await self.purse.checked_act(found, delivery.transaction, "sellerConfirmDelivery", digest)

    async def open_delivery(self, order: UUID) -> bytes:
        """What the seller delivered, once its hash is the one that the contract holds. Raises `WrongDelivery`."""
        found = await self.order(order)
        if found.product_key_encrypted is None:
            raise WrongDelivery(f"nothing is there yet: the order is {found.status}")
        sealed = b64decode(found.product_key_encrypted)
        place = await self.purse.place(found)
        held = await self.purse.view(found.chain, events.contract(), place.escrow, "getOrder", place.number)
        if hashlib.sha256(sealed).digest() != held.delivery_hash:
            raise WrongDelivery("it is not what the seller confirmed to the contract")
        return self.boxes.unseal(sealed)

    async def confirm(self, order: UUID) -> Order:
        """The buyer has what was paid for; the contract pays the seller."""
        await self._act(order, "confirm", "buyerConfirmReceived")
        return await self.until(order, OrderStatus.COMPLETED)

    async def cancel(self, order: UUID) -> Order:
        """Either party, before the delivery is confirmed; the buyer gets everything back."""
        await self._act(order, "cancel", "cancelOrder")
        return await self.until(order, OrderStatus.CANCELLED)

    async def open_dispute(self, order: UUID) -> Order:
        """Either party, after the delivery is confirmed and before the money is released."""
        return await self.disputes.open(order)

    async def review(self, order: UUID, stars: int) -> Review:
        """What this wallet thinks of the other side, once, of a trade that has ended."""
        ask = asked(AddReview, by=self.wallet, id=order, rating=stars)
        return await self.transport.command("POST", "/escrow/orders/{id}/reviews", ask, Review)

    async def reviews(self, wallet: str | None = None) -> AsyncIterator[Review]:
        """What others thought of somebody, or of this wallet, newest first, page after page."""
        ask = asked(ListReviews, wallet=wallet or self.wallet, limit=PAGE)
        async for each in self.transport.every("/escrow/profile/{wallet}/reviews", ask, ReviewPage):
            yield each

    async def resolve_by_default(self, order: UUID) -> Order:
        """The ruling where no arbitrator ruled in time; anyone may call for it then."""
        await self.purse.act(await self.order(order), "autoResolveDispute")
        return await self.until(order, OrderStatus.RESOLVED_BUYER, OrderStatus.RESOLVED_SELLER)

    async def withdraw(self, order: UUID, to: str | None = None) -> Withdrawal:
        """Takes what the contract that holds this order owes to this wallet, in the order's token, of all orders."""
        found = await self.order(order)
        place, account = await self.purse.place(found), await self.purse.account(found.chain)
        contract, receiver = events.contract(), to or self.wallet
        owed = await self.purse.view(found.chain, contract, place.escrow, "credits", self.wallet, place.token)
        decimals = await self.purse.view(found.chain, TOKEN, place.token, "decimals")
        unsigned = transactions.act(account.chain_id, place.escrow, "withdraw", place.token, receiver)
        receipt = await self.purse.send(found.chain, unsigned)
        return Withdrawal(from_units(owed, decimals), receipt)

    async def _act(self, order: UUID, path: str, function: str) -> Receipt:
        """An act that the server prepares, checked and sent."""
        ask = GetOrder(by=self.wallet, id=order)
        prepared = await self.transport.command("POST", "/escrow/orders/{id}/" + path, ask, PreparedAct)
        return await self.purse.checked_act(await self.order(order), prepared.transaction, function)


def _host(url: str) -> str:
    """The domain that a server at this address goes by; this machine has several names and means one."""
    host = urlsplit(url).hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = False
    return "localhost" if local else host
