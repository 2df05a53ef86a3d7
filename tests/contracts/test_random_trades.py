"""Random people make random calls, legal and illegal, as time passes; the escrow must agree with the model throughout.

ESCROW_EXAMPLES (default 40) sets how many sequences are tried, ESCROW_STEPS (default 60) how long each is. Hypothesis
prints the failing sequence and a blob that repeats it.
"""

import os
from typing import Any

import boa
import chain
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from market import DELIVERY, HOUR, PRODUCT, REFERENCE, ZERO, Market, Status, one
from model import DELAY, HASHES, LARGEST, SELLER_TIME, Books, Rules, Trade, share

CAST = 8
ORDERS = 8
person = st.integers(0, CAST - 1)
which = st.integers(0, ORDERS - 1)
coin = st.sampled_from(["usdc", "usdt"])
# Acts on an order, beside draws and rulings: the rule's name, the call, and what it takes besides the order.
ACTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "deliver": ("sellerConfirmDelivery", (DELIVERY,)),
    "receive": ("buyerConfirmReceived", ()),
    "cancel": ("cancelOrder", ()),
    "expire": ("autoExpireOrder", ()),
    "release": ("autoReleaseToSeller", ()),
    "dispute": ("openDispute", ()),
    "evidence": ("submitEvidence", ("bafy",)),
    "resolve": ("autoResolveDispute", ()),
}
SETTLING = [act for act in ACTS if act != "evidence"]
RULINGS = {"rule for buyer": "rule", "rule for seller": "rule"}
WITHDRAWERS = ["creditor", "anyone"]
FEES = [0, 1, 200, 1_000, 1_001]
EVENTS = {
    "deliver": "SellerConfirmed",
    "receive": "OrderCompleted",
    "cancel": "OrderCancelled",
    "expire": "OrderExpired",
    "release": "OrderCompleted",
    "dispute": "DisputeOpened",
    "evidence": "EvidenceSubmitted",
    "resolve": "DisputeResolved",
}


class Trading(RuleBasedStateMachine):
    opened: Market

    def __init__(self) -> None:
        super().__init__()
        self.world = boa.env.anchor()
        self.world.__enter__()
        self.market, self.books, self.rules = self.opened, Books(), Rules()
        self.fee, self.treasury, self.paused = 200, self.market.treasury, False
        self.denied: set[str] = set()
        self.cast = [self.market.buyer, self.market.seller, self.market.stranger, *self.market.arbitrators]
        self.cast.append(self.market.treasury)

    def attempt(self, event: str, by: str, call: str, *arguments: Any, legal: bool) -> dict[str, Any] | None:
        """Makes the call; it must log the event when it is legal, and revert when it is not."""
        if legal:
            name, fields = self.market.act(by, call, *arguments)
            assert name == event
            return fields
        with boa.reverts():
            getattr(self.market.escrow, call)(*arguments, sender=by)
        return None

    @initialize(
        misbehaviour=st.sampled_from(["none", "none", "notices revert", "notices burn"]),
        coins=st.lists(coin, min_size=3, max_size=3),
    )
    def begin(self, misbehaviour: str, coins: list[str]) -> None:
        self.market.pool.misbehave(False, False, misbehaviour == "notices revert", misbehaviour == "notices burn")
        self.market.pool.setCandidates(self.cast[1:])
        for number, name in enumerate(coins):
            self.create(number, number + 1, name, 100, number, 0)
        for order in (2, 3):
            self.act(order, self.books.trades[order].seller, "deliver")
        self.act(3, self.books.trades[3].buyer, "dispute")

    @rule(
        buyer=person,
        seller=person,
        coin=coin,
        tokens=st.sampled_from([1, 7, 100, LARGEST]),
        millionths=st.sampled_from([-1, 0, 1, 999_999]),
        dust=st.sampled_from([0, 0, 0, 1]),
    )
    def create(self, buyer: int, seller: int, coin: str, tokens: int, millionths: int, dust: int) -> None:
        if len(self.books.trades) == ORDERS:
            return
        token = getattr(self.market, coin)
        unit, by, to = one(token), self.cast[buyer], self.cast[seller]
        amount = tokens * unit + millionths * unit // 10**6 + (dust if coin == "usdt" else 0)
        fine = amount * 10**6 % unit != 0
        legal = not (self.paused or by == to or fine or (coin == "usdt" and by in self.denied))
        legal = legal and unit <= amount <= LARGEST * unit
        terms = (to, token.address, amount, PRODUCT, REFERENCE)
        if told := self.attempt("OrderCreated", by, "createOrder", *terms, legal=legal):
            fee = share(amount, self.fee, unit)
            assert told["orderId"] == len(self.books.trades) + 1
            self.books.trades[told["orderId"]] = Trade(
                token.address, unit, by, to, amount, fee, self.treasury, chain.now() + SELLER_TIME
            )

    @rule(number=which, by=person, act=st.sampled_from(sorted({*ACTS, *RULINGS, "draw"})))
    def act_at_random(self, number: int, by: int, act: str) -> None:
        order = number % len(self.books.trades) + 1
        self.act(order, self.cast[by], act)

    @rule(kind=st.integers(0, 99), pick=st.integers(0, 999), intruder=st.none() | person)
    def act_legally(self, kind: int, pick: int, intruder: int | None) -> None:
        """Takes one of all the acts that are legal now, which chance alone seldom finds, or lets an intruder try it."""
        now, block = chain.now(), chain.height()
        legal: dict[str, list[tuple[int, str]]] = {}
        for order, trade in self.books.trades.items():
            for act in (*SETTLING, *RULINGS, "draw"):
                for by in self.cast:
                    if getattr(self.rules, RULINGS.get(act, act))(trade, by, now, block):
                        legal.setdefault(act, []).append((order, by))
        if legal:
            act, choices = list(legal.items())[kind % len(legal)]
            order, by = choices[pick % len(choices)]
            self.act(order, by if intruder is None else self.cast[intruder], act)

    @rule(number=which, by=person, blocks=st.sampled_from([0, 1, 1, 1, HASHES, HASHES + 1]))
    def pursue(self, number: int, by: int, blocks: int) -> None:
        """Waits for the next draw that a dispute may have, and draws; three in a row are rare otherwise."""
        disputes = [each for each in self.books.trades.items() if each[1].status == Status.DISPUTED]
        if not disputes:
            return
        order, trade = disputes[number % len(disputes)]
        if trade.arbitrator == ZERO:
            chain.move(blocks=max(trade.draw_block + blocks - chain.height(), 0))
        else:
            chain.move_to(max(trade.ruling_deadline, chain.now()))
            self.act(order, trade.arbitrator, "rule for buyer")
        self.act(order, self.cast[by], "draw")

    def act(self, order: int, by: str, act: str) -> None:
        trade = self.books.trades[order]
        if act == "draw":
            self.draw(order, trade, by)
        elif act in RULINGS:
            self.rule_on(order, trade, by, act)
        else:
            legal = getattr(self.rules, act)(trade, by, chain.now(), chain.height())
            call, more = ACTS[act]
            if self.attempt(EVENTS[act], by, call, order, *more, legal=legal):
                self.note(act, trade)

    def note(self, act: str, trade: Trade) -> None:
        if act == "deliver":
            self.books.delivered(trade, chain.now())
        elif act in ("receive", "release"):
            self.books.completed(trade)
        elif act == "dispute":
            self.books.disputed(trade, chain.now(), chain.height())
        elif act != "evidence":
            ends = {"cancel": Status.CANCELLED, "expire": Status.EXPIRED, "resolve": Status.RESOLVED_BUYER}
            self.books.refunded(trade, ends[act])

    def draw(self, order: int, trade: Trade, by: str) -> None:
        now, block = chain.now(), chain.height()
        legal = self.rules.draw(trade, by, now, block)
        forgotten = trade.arbitrator == ZERO and block - trade.draw_block > HASHES
        postponed = trade.arbitrator != ZERO or forgotten
        # A pool that does not take notices would draw the same arbitrator again, which the escrow refuses.
        self.market.pool.setCandidates([who for who in self.cast if who not in trade.missed])
        event = "DrawPostponed" if postponed else "ArbitratorDrawn"
        if told := self.attempt(event, by, "drawArbitrator", order, legal=legal):
            if postponed:
                assert (told["missed"], told["drawBlock"]) == (trade.arbitrator, block + DELAY)
                self.books.postponed(trade, block)
            else:
                assert told["arbitrator"] not in (*trade.parties, *trade.missed, ZERO)
                self.books.drawn(trade, told["arbitrator"], now)

    def rule_on(self, order: int, trade: Trade, by: str, act: str) -> None:
        winner = trade.buyer if act == "rule for buyer" else trade.seller
        legal = self.rules.rule(trade, by, chain.now(), chain.height())
        if self.attempt("DisputeResolved", by, "resolveDispute", order, winner == trade.buyer, legal=legal):
            self.books.ruled(trade, winner)

    @rule(
        by=person,
        to=person,
        coin=coin,
        nobody=st.sampled_from(["", "", "", "zero", "escrow"]),
        who=st.sampled_from(WITHDRAWERS),
    )
    def withdraw(self, by: int, to: int, coin: str, nobody: str, who: str) -> None:
        token = getattr(self.market, coin)
        creditors = [who for who in self.cast if self.books.owed(who, token.address)]
        who = creditors[by % len(creditors)] if who == "creditor" and creditors else self.cast[by]
        receiver = {"zero": ZERO, "escrow": self.market.escrow.address}.get(nobody, self.cast[to])
        legal = not nobody and self.books.owed(who, token.address) > 0
        legal = legal and not (coin == "usdt" and receiver in self.denied)
        before = token.balanceOf(receiver)
        if self.attempt("Withdrawn", who, "withdraw", token.address, receiver, legal=legal):
            self.books.paid[who, token.address] += token.balanceOf(receiver) - before

    @rule(number=which, until=st.sampled_from(["a while", "deadline", "draw", "draw"]), offset=st.integers(-1, 1))
    def wait(self, number: int, until: str, offset: int) -> None:
        """Waits some hours, or to the edge of an order's next deadline, or of its draw block or that block's hash."""
        trade = self.books.trades[number % len(self.books.trades) + 1]
        deadlines = (trade.seller_deadline, trade.release_deadline, trade.ruling_deadline, trade.default_deadline)
        edges = (trade.draw_block, trade.draw_block + HASHES)
        if until == "deadline":
            coming = [time + offset - chain.now() for time in deadlines if time + offset > chain.now()]
            chain.move(seconds=min(coming, default=0))
        elif until == "draw" and trade.status == Status.DISPUTED:
            coming = [block + offset - chain.height() for block in edges if block + offset > chain.height()]
            chain.move(blocks=min(coming, default=0))
        else:
            chain.move(seconds=number * HOUR, blocks=number)

    @rule(change=st.sampled_from(["pause", "fee", "treasury", "denial"]), who=person, fee=st.sampled_from(FEES))
    def govern(self, change: str, who: int, fee: int) -> None:
        getattr(self, f"change_{change}")(self.cast[who], fee)

    def change_pause(self, who: str, fee: int) -> None:
        call, event = ("unpause", "Unpaused") if self.paused else ("pause", "Paused")
        self.attempt(event, who, call, legal=False)
        self.attempt(event, self.market.owner, call, legal=True)
        self.paused = not self.paused

    def change_fee(self, who: str, fee: int) -> None:
        if self.attempt("PlatformFeeSet", self.market.owner, "setPlatformFee", fee, legal=fee <= 1_000):
            self.fee = fee

    def change_treasury(self, who: str, fee: int) -> None:
        self.attempt("TreasurySet", self.market.owner, "setTreasury", who, legal=True)
        self.treasury = who

    def change_denial(self, who: str, fee: int) -> None:
        self.denied ^= {who}
        self.market.usdt.setDenied(who, who in self.denied, sender=self.market.owner)

    @invariant()
    def credits_and_open_amounts_are_the_balance(self) -> None:
        for token in (self.market.usdc, self.market.usdt):
            owed = {who: self.market.credit(who, token) for who in self.cast}
            locked = self.market.escrow.openAmount(token.address)
            assert sum(owed.values()) + locked == token.balanceOf(self.market.escrow.address)
            assert locked == self.books.open(token.address)
            assert owed == {who: self.books.owed(who, token.address) for who in self.cast}

    @invariant()
    def every_order_is_as_the_model_says(self) -> None:
        assert self.market.escrow.nextOrderId() == len(self.books.trades) + 1
        for order, trade in self.books.trades.items():
            stored = self.market.get(order)
            assert (stored.status, stored.arbitrator, stored.draws) == (trade.status, trade.arbitrator, trade.draws)
            assert (stored.amount, stored.fee) == (trade.amount, trade.fee)
            assert (stored.feeReceiver, stored.arbitrationFee) == (trade.fee_receiver, trade.arbitration_fee)
            assert (stored.sellerDeadline, stored.releaseDeadline) == (trade.seller_deadline, trade.release_deadline)
            assert (stored.rulingDeadline, stored.defaultDeadline) == (trade.ruling_deadline, trade.default_deadline)
            assert stored.drawBlock == trade.draw_block

    def teardown(self) -> None:
        """Whatever happened: while paused, by strangers alone, every order ends, and then all money leaves."""
        try:
            if not self.paused:
                self.market.escrow.pause(sender=self.market.owner)
            for order, trade in self.books.trades.items():
                self.let_it_end(order, trade)
            self.credits_and_open_amounts_are_the_balance()
            self.pay_everybody_out()
        finally:
            self.world.__exit__(None, None, None)

    def let_it_end(self, order: int, trade: Trade) -> None:
        stranger = self.market.owner
        for status, deadline, act in (
            (Status.CREATED, trade.seller_deadline, "expire"),
            (Status.SELLER_CONFIRMED, trade.release_deadline, "release"),
            (Status.DISPUTED, trade.default_deadline, "resolve"),
        ):
            if trade.status == status:
                chain.move_to(max(deadline, chain.now()))
                self.act(order, stranger, act)
        assert trade.open == 0

    def pay_everybody_out(self) -> None:
        for token in (self.market.usdc, self.market.usdt):
            for who in self.cast:
                if self.books.owed(who, token.address):
                    self.market.act(who, "withdraw", token.address, self.market.owner)
            assert token.balanceOf(self.market.escrow.address) == 0


@pytest.fixture
def furnished(market: Market) -> Market:
    for token in (market.usdc, market.usdt):
        for who in market.people:
            token.mint(who, 10**14 * one(token))
    return market


def test_random_trades_agree_with_the_model_and_always_end(furnished: Market) -> None:
    Trading.opened = furnished
    run_state_machine_as_test(
        Trading,
        settings=settings(
            max_examples=int(os.environ.get("ESCROW_EXAMPLES", "40")),
            stateful_step_count=int(os.environ.get("ESCROW_STEPS", "60")),
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
