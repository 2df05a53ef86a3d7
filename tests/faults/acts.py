"""Everything that is done at the fair, each held against what the rules say of it: legal, and done, or refused."""

from collections.abc import Awaitable, Callable
from copy import deepcopy
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.orders import GetOrder, PreparedAct
from entrepot.apps.escrow.calls.products import SellerStatus
from entrepot.apps.escrow.calls.reviews import AddReview, Review
from entrepot.client import Category, ChainName, Refused, Token
from entrepot.kernel.chain.rpc import Receipt
from entrepot.kernel.money import to_units
from tests.bazaar import ESCROW
from tests.faults.fair import NEWCOMER, Fair
from tests.faults.ledger import SELLER_TIME, Ledger, Trade
from tests.faults.seats import Seats
from tests.faults.shop import Listing, Reservation, Shop

TOKENS = (Token.USDT, Token.USDC)
SECRET = b"what opens the good"
ROUTES = {
    "buyerConfirmReceived": "/escrow/orders/{id}/confirm",
    "cancelOrder": "/escrow/orders/{id}/cancel",
}
Again = tuple[Callable[..., Awaitable[str]], tuple[Any, ...]]


class Acts:
    """One run. What a reorganisation may take back is remembered by block, and can be done again."""

    def __init__(self, fair: Fair) -> None:
        self.fair, self.market = fair, fair.market
        self.tokens = {self.market.token(symbol): symbol for symbol in TOKENS}
        units = {self.market.token(each): 10 ** int(self.market.contracts[each].decimals or 0) for each in TOKENS}
        seats = Seats(units[self.market.token("USDT")])
        self.ledger = Ledger(self.market.node.accounts[0].address, units, seats)
        self.shop = Shop(fair.wallets[NEWCOMER])
        self.history = {fair.first: deepcopy(self.ledger)}
        self.done: list[tuple[int, Again]] = []

    # What the chain and the market are asked, and how their answers are held against the rules.

    async def head(self) -> tuple[int, int]:
        """The last block and its time."""
        block = await self.market.node.rpc.block()
        return block.number, block.timestamp

    async def sent(self, by: str, data: bytes, again: Again, to: str = "") -> tuple[Receipt, int]:
        """A transaction in its block, and the time there."""
        receipt = await self.fair.send(by, to or self.market.escrow, data)
        self.done.append((receipt.block_number, again))
        return receipt, (await self.market.node.rpc.block(receipt.block_number)).timestamp

    def happened(self, block: int) -> None:
        """The ledger stands so from this block on."""
        self.history[block] = deepcopy(self.ledger)
        self.shop.follow(self.ledger)

    def judged(self, receipt: Receipt, what: str, *, legal: bool) -> str:
        """The chain did what the rules say."""
        self.happened(receipt.block_number)
        assert receipt.succeeded == legal, f"{what} should be {'taken' if legal else 'refused'} by the contract"
        return "done" if legal else "refused by the contract"

    async def asked(self, what: str, wanted: int, call: Callable[[], Awaitable[Any]]) -> Any:
        """An answer of the market. Who is refused leaves no trace."""
        await self.fair.caught_up()
        before = await self.fair.written()
        try:
            answer, status = await call(), 200
        except Refused as refused:
            answer, status = None, refused.status
            said = str(refused)
        if wanted < 400:
            assert status == 200, f"{what} should be answered with {wanted}, and was with {said}"
            return answer
        assert status == wanted, f"{what} should be refused with {wanted}, and was answered with {status}: {answer}"
        assert await self.fair.written() == before, f"{what} was refused and wrote something"
        return None

    # Sellers.

    async def offer(self, by: str, price: str, stock: int) -> str:
        good = "0x" + sha256(f"good {len(self.shop.listings)}".encode()).hexdigest()
        client, words = self.fair.clients[by], {"title": f"Good {len(self.shop.listings)}", "description": "Good."}
        made = await self.asked(
            "an offer",
            201,
            lambda: client.products.create(
                **words, category=Category.DATA, price=Decimal(price), stock=stock, good=good
            ),
        )
        self.shop.listings[good] = Listing(made.id, good, client.wallet, Decimal(price), stock)
        return "listed"

    async def edit(self, listing: Listing, by: str, asked: str | None, stock: int | None) -> str:
        client, left = self.fair.clients[by], listing.stock if stock is None else stock
        turned = listing.turn(asked, left)
        own = client.wallet == listing.seller and listing.status != "deleted"
        wanted = 404 if not own else 409 if turned is None else 200
        stated = msgspec.UNSET if stock is None else stock
        status = msgspec.UNSET if asked is None else SellerStatus(asked)
        edited = await self.asked(
            "an edit",
            wanted,
            lambda: client.products.edit(listing.id, status=status, price=listing.price, stock=stated),
        )
        if edited is None or turned is None:
            return f"refused with {wanted}"
        listing.status, listing.stock = turned, left
        listing.short = listing.short if stock is None else 0
        return f"{edited.status}, {edited.stock} left"

    async def delete(self, listing: Listing, by: str) -> str:
        client = self.fair.clients[by]
        own = client.wallet == listing.seller and listing.status != "deleted"
        await self.asked("a deletion", 204 if own else 404, lambda: client.products.delete(listing.id))
        listing.status = "deleted" if own else listing.status
        return "deleted" if own else "refused with 404"

    # Buyers.

    async def prepare(self, listing: Listing, by: str, token: Token) -> str:
        client = self.fair.clients[by]
        wanted, gives_up = self.shop.preparing(self.ledger, listing, client.wallet)
        prepared = await self.asked(
            "a preparation", wanted, lambda: client.prepare_order(listing.id, ChainName(self.market.chain), token)
        )
        if prepared is None:
            return f"refused with {wanted}"
        if gives_up:
            self.shop.reservations[gives_up].lapsed = True
        creation = prepared.transaction
        kept = Reservation(listing, client.wallet, self.market.token(token), listing.price, creation.to, creation.data)
        self.shop.reservations[str(prepared.id)] = kept
        return f"reserved {prepared.id}"

    async def lapse(self, name: str) -> str:
        """Fifteen minutes pass for one reservation, by the clock of the database."""
        self.shop.reservations[name].lapsed = True
        await self.fair.owner.execute(
            "UPDATE escrow.reservations SET expires_at = now() - interval '1 second' WHERE id = $1", UUID(name)
        )
        return "lapsed"

    async def pay(self, name: str, by: str) -> str:
        """The prepared transaction, sent by its buyer or by somebody else, once or again."""
        kept = self.shop.reservations[name]
        data, wallet = bytes.fromhex(kept.data[2:]), self.fair.wallets[by]
        amount = to_units(kept.price, self.decimals(kept.token))
        fits = wallet == kept.buyer
        return await self.create(by, wallet, kept.listing, kept.token, amount, data, name if fits else None)

    async def buy_directly(self, listing: Listing, by: str, token: Token, whole: int, *, listed: bool) -> str:
        """An order around the market, of a good that is listed or of another."""
        address = self.market.token(token)
        good = bytes.fromhex(listing.good[2:]) if listed else sha256(b"never listed").digest()
        amount = whole * self.ledger.units[address] // 10
        data = ESCROW.encode_call("createOrder", listing.seller, address, amount, good, bytes(32))
        shelf = listing if listed else None
        return await self.create(by, self.fair.wallets[by], shelf, address, amount, data, None, listing.seller)

    async def create(
        self,
        by: str,
        wallet: str,
        listing: Listing | None,
        token: str,
        amount: int,
        data: bytes,
        reserved: str | None,
        seller: str = "",
    ) -> str:
        """The contract makes an order, and the market one of ours where it was prepared so."""
        seller = listing.seller if listing else seller
        again = self.create, (by, wallet, listing, token, amount, data, reserved, seller)
        receipt, now = await self.sent(wallet, data, again)
        legal = self.ledger.may_create(wallet, seller, token, amount)
        if legal:
            number = len(self.ledger.trades) + 1
            first = reserved is not None and reserved not in self.shop.used(self.ledger)
            self.ledger.trades[number] = Trade(
                number=number,
                identity=reserved if first and reserved else f"{receipt.tx_hash} {number} {now}",
                buyer=wallet,
                seller=seller,
                token=token,
                amount=amount,
                fee=self.ledger.share(token, amount, self.ledger.fee_bps),
                fee_receiver=self.ledger.owner,
                reserved=reserved if first else None,
                listing=listing.good if listing else None,
                seller_deadline=now + SELLER_TIME,
            )
        return self.judged(receipt, f"an order by {by}", legal=legal) + (f": order {number}" if legal else "")

    def decimals(self, token: str) -> int:
        return len(str(self.ledger.units[token])) - 1

    # Both, once there is an order.

    async def act(self, function: str, number: int, by: str, more: tuple[object, ...]) -> str:
        """A call of the contract, whether or not the market would prepare it."""
        wallet = self.fair.wallets[by]
        data = ESCROW.encode_call(function, number, *more)
        receipt, now = await self.sent(wallet, data, (self.act, (function, number, by, more)))
        legal = self.ledger.act(function, number, wallet, now, receipt.block_number, *more)
        return self.judged(receipt, f"{function} of order {number} by {by}", legal=legal)

    async def through_market(self, function: str, trade: Trade, by: str) -> str:
        """The same as the market prepares it, which looks at who asks and at the order's state, and at no clock."""
        client, order = self.fair.clients[by], await self.id_of(trade)
        wanted = self.preparing(function, trade, client.wallet)
        if function == "sellerConfirmDelivery":
            prepared = await self.asked("a delivery", wanted, lambda: client.hand_in(order, SECRET))
            more: tuple[object, ...] = (bytes.fromhex(prepared.delivery_hash[2:]),) if prepared else ()
        else:
            ask = GetOrder(by=client.wallet, id=order)
            path = ROUTES[function]
            prepared = await self.asked(
                function, wanted, lambda: client.transport.command("POST", path, ask, PreparedAct)
            )
            more = ()
        if prepared is None:
            return f"refused with {wanted}"
        assert prepared.transaction.data == "0x" + ESCROW.encode_call(function, trade.number, *more).hex()
        return f"prepared, {await self.act(function, trade.number, by, more)}"

    def preparing(self, function: str, trade: Trade, wallet: str) -> int:
        """How the market answers."""
        who = {"sellerConfirmDelivery": (trade.seller,), "buyerConfirmReceived": (trade.buyer,)}
        needs = {"buyerConfirmReceived": "seller_confirmed"}
        if wallet not in who.get(function, trade.parties):
            return 404
        return 200 if trade.status == needs.get(function, "created") else 409

    async def review(self, trade: Trade, by: str, stars: int) -> str:
        client, order = self.fair.clients[by], await self.id_of(trade)
        wanted = self.shop.reviewing(trade, client.wallet)
        ask = AddReview(by=client.wallet, id=order, rating=stars)
        path = "/escrow/orders/{id}/reviews"
        await self.asked("a review", wanted, lambda: client.transport.command("POST", path, ask, Review))
        if wanted >= 400:
            return f"refused with {wanted}"
        target = trade.seller if client.wallet == trade.buyer else trade.buyer
        self.shop.reviews[trade.identity, client.wallet] = (target, stars)
        return "reviewed"

    async def withdraw(self, by: str, token: Token) -> str:
        wallet, address = self.fair.wallets[by], self.market.token(token)
        data = ESCROW.encode_call("withdraw", address, wallet)
        receipt, _ = await self.sent(wallet, data, (self.withdraw, (by, token)))
        owed = self.ledger.due.pop((wallet, address), 0)
        return self.judged(receipt, f"{by} taking {owed}", legal=owed > 0)

    async def id_of(self, trade: Trade) -> UUID:
        """The market's id of an order."""
        await self.fair.caught_up()
        found = await self.fair.owner.fetchval("SELECT id FROM escrow.orders WHERE onchain_order_id = $1", trade.number)
        assert found is not None, f"order {trade.number} is not mirrored"
        assert trade.reserved in (None, str(found)), f"order {trade.number} is {found}, not {trade.reserved}"
        return UUID(int=found.int)
