"""Random people stake, dispute, draw, rule and miss deadlines; pool, escrow and the models must agree throughout.

RULING_EXAMPLES (default 20) sets how many sequences are tried, RULING_STEPS (default 50) how long each is. Hypothesis
prints the failing sequence and a blob that repeats it.
"""

import os
from collections import Counter
from typing import Any

import boa
import chain
from eth_abi import encode
from eth_utils import keccak
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from market import DELIVERY, PRODUCT, REFERENCE, ZERO, Market, Status, one
from model import DELAY, HASHES, SELLER_TIME, Books, Rules, Trade, share
from staking import MAX_STAKE, MILLIONTHS, MIN_STAKE, Pool

CAST = 7
DISPUTES = 6
person = st.integers(0, CAST - 1)
which = st.integers(0, DISPUTES - 1)
# Base units of the stake token in a millionth of it.
SCALE = 10**12
STAKES = [
    0,
    MIN_STAKE - 1,
    MIN_STAKE,
    MIN_STAKE,
    MIN_STAKE + 7,
    3 * MIN_STAKE,
    40 * MIN_STAKE,
    MAX_STAKE,
    MAX_STAKE + 1,
]
MORE = [0, 1, 60 * MILLIONTHS, MIN_STAKE, MAX_STAKE]


class Ruling(RuleBasedStateMachine):
    opened: Market

    def __init__(self) -> None:
        super().__init__()
        self.world = boa.env.anchor()
        self.world.__enter__()
        self.market, self.books, self.rules, self.pool = self.opened, Books(), Rules(), Pool()
        self.collected = 0
        self.cast = [*self.market.arbitrators, self.market.stranger, self.market.buyer, self.market.seller]

    @initialize(
        stakes=st.lists(st.sampled_from(STAKES[2:7]), min_size=3, max_size=5), blocks=st.sampled_from([0, 9, 300])
    )
    def begin(self, stakes: list[int], blocks: int) -> None:
        for number, stake in enumerate(stakes):
            self.register(number, stake, 0)
        chain.move(seconds=60, blocks=blocks)
        self.dispute(5, 6)

    def attempt(self, event: str, by: str, call: str, *arguments: Any, legal: bool) -> dict[str, Any] | None:
        """Calls the pool; it must log the event when the call is legal, and revert when it is not."""
        if legal:
            getattr(self.market.pool, call)(*arguments, sender=by)
            name, fields = self.market.told(self.market.pool)[0]
            assert name == event
            return fields
        with boa.reverts():
            getattr(self.market.pool, call)(*arguments, sender=by)
        return None

    @rule(who=person, stake=st.sampled_from(STAKES), dust=st.sampled_from([0, 0, 0, 1]))
    def register(self, who: int, stake: int, dust: int) -> None:
        wallet = self.cast[who]
        legal = self.pool.may_register(wallet, stake) and not dust
        if told := self.attempt("ArbitratorRegistered", wallet, "register", stake * SCALE + dust, legal=legal):
            self.pool.register(wallet, stake, chain.height())
            assert (told["stake"], told["reputation"]) == (stake * SCALE, self.pool.get(wallet).reputation)

    @rule(who=person, more=st.sampled_from(MORE), dust=st.sampled_from([0, 0, 0, 1]))
    def increase(self, who: int, more: int, dust: int) -> None:
        wallet = self.cast[who]
        legal = self.pool.may_increase(wallet, more) and not dust
        if told := self.attempt("StakeIncreased", wallet, "increaseStake", more * SCALE + dust, legal=legal):
            self.pool.increase(wallet, more, chain.height())
            known = self.pool.get(wallet)
            assert (told["stake"], told["active"]) == (known.stake * SCALE, known.active)

    @rule(who=person)
    def withdraw(self, who: int) -> None:
        wallet = self.cast[who]
        before, due = self.market.usdt.balanceOf(wallet), self.pool.get(wallet).stake * SCALE
        legal = self.pool.may_withdraw(wallet)
        if told := self.attempt("ArbitratorWithdrawn", wallet, "withdraw", legal=legal):
            assert told["stake"] == due == self.market.usdt.balanceOf(wallet) - before
            self.pool.get(wallet).stake = 0

    @rule(by=person, owner=st.booleans())
    def collect(self, by: int, *, owner: bool) -> None:
        caller, due = self.market.owner if owner else self.cast[by], self.pool.forfeited - self.collected
        if told := self.attempt("Withdrawn", caller, "collect", self.cast[by], legal=owner and due > 0):
            assert told["amount"] == due * SCALE
            self.collected += due

    @rule(buyer=person, seller=person)
    def dispute(self, buyer: int, seller: int) -> None:
        if buyer == seller or len(self.books.trades) == DISPUTES:
            return
        by, to, amount = self.cast[buyer], self.cast[seller], 100 * one(self.market.usdc)
        token, escrow = self.market.usdc.address, self.market.escrow
        order = escrow.createOrder(to, token, amount, PRODUCT, REFERENCE, sender=by)
        escrow.sellerConfirmDelivery(order, DELIVERY, sender=to)
        escrow.openDispute(order, sender=by)
        fee, deadline = share(amount, 200, 10**6), chain.now() + SELLER_TIME
        trade = Trade(token, 10**6, by, to, amount, fee, self.market.treasury, deadline)
        self.books.disputed(trade, chain.now(), chain.height())
        self.books.trades[order] = trade

    def one_of(self, number: int) -> tuple[int, Trade] | None:
        """An open dispute, if there is one."""
        still = [each for each in self.books.trades.items() if each[1].status == Status.DISPUTED]
        return still[number % len(still)] if still else None

    @rule(
        number=which,
        by=person,
        blocks=st.sampled_from([0, 1, 1, 1, 1, HASHES, HASHES + 1]),
        meddler=st.none() | person,
    )
    def pursue(self, number: int, by: int, blocks: int, meddler: int | None) -> None:
        """Waits for the block that decides the draw, lets someone who knows it stake a fortune, and draws."""
        if found := self.one_of(number):
            chain.move(blocks=max(found[1].draw_block + blocks - chain.height(), 0))
            if meddler is not None:
                self.increase(meddler, 10**6 * MILLIONTHS, 0)
            self.draw(*found, self.cast[by])

    @rule(number=which, by=person)
    def miss(self, number: int, by: int) -> None:
        """Lets a dispute's arbitrator miss its deadline; someone calls for another one."""
        found = self.one_of(number)
        if found and found[1].arbitrator != ZERO:
            chain.move_to(max(found[1].ruling_deadline, chain.now()))
            self.draw(*found, self.cast[by])

    def draw(self, order: int, trade: Trade, by: str) -> None:
        now, block = chain.now(), chain.height()
        if not self.rules.draw(trade, by, now, block):
            with boa.reverts():
                self.market.escrow.drawArbitrator(order, sender=by)
            return
        known = block - trade.draw_block <= HASHES
        self.market.escrow.drawArbitrator(order, sender=by)
        told = self.market.told(self.market.pool, during=self.market.escrow)
        if trade.arbitrator != ZERO:
            self.pool.missed(order)
            self.agree(told, trade.arbitrator, order, consistent=False)
            self.books.postponed(trade, block)
            return
        drawn = self.expected(order, trade) if known else ZERO
        assert self.market.arbitrator(order) == drawn
        if drawn == ZERO:
            assert told == []
            self.books.postponed(trade, block)
        else:
            self.pool.assign(order, drawn)
            assigned = self.pool.get(drawn).assigned
            assert told == [("Assigned", {"arbitrator": drawn, "orderId": order, "assigned": assigned})]
            self.books.drawn(trade, drawn, now)

    def expected(self, order: int, trade: Trade) -> str:
        made = (
            ["bytes32", "address", "uint256"],
            [chain.block_hash(trade.draw_block), self.market.escrow.address, order],
        )
        return self.pool.first(order, trade.parties, trade.draw_block - DELAY, keccak(encode(*made)))

    def agree(self, told: list[tuple[str, dict[str, Any]]], wallet: str, order: int, *, consistent: bool) -> None:
        """The pool told of the arbitrator's new state, and of nothing else."""
        known = self.pool.get(wallet)
        fields = {
            "arbitrator": wallet,
            "orderId": order,
            "reputation": known.reputation,
            "active": known.active,
            "stake": known.stake * SCALE,
            "assigned": known.assigned,
            "resolved": known.resolved,
            "consistent": consistent,
        }
        assert told == [("ReputationUpdated", fields)]

    @rule(number=which, by=st.none() | st.none() | person, favor=st.booleans())
    def decide(self, number: int, by: int | None, *, favor: bool) -> None:
        found = self.one_of(number)
        if not found:
            return
        order, trade = found
        drawn = trade.arbitrator if trade.arbitrator != ZERO else self.cast[0]
        who = drawn if by is None else self.cast[by]
        if self.rules.rule(trade, who, chain.now(), chain.height()):
            self.market.escrow.resolveDispute(order, favor, sender=who)
            self.books.ruled(trade, trade.buyer if favor else trade.seller)
            self.pool.ruled(order, chain.height())
            self.agree(self.market.told(self.market.pool, during=self.market.escrow), who, order, consistent=True)
        else:
            with boa.reverts():
                self.market.escrow.resolveDispute(order, favor, sender=who)

    @rule(number=which, early=st.booleans())
    def give_up(self, number: int, *, early: bool) -> None:
        """Tries the default ruling, at its deadline or now."""
        if found := self.one_of(number):
            chain.move_to(max(found[1].default_deadline - early, chain.now()))
            self.let_end(*found)

    def let_end(self, order: int, trade: Trade) -> None:
        if not self.rules.resolve(trade, ZERO, chain.now(), chain.height()):
            with boa.reverts():
                self.market.escrow.autoResolveDispute(order, sender=self.market.owner)
            return
        self.market.escrow.autoResolveDispute(order, sender=self.market.owner)
        told = self.market.told(self.market.pool, during=self.market.escrow)
        self.books.refunded(trade, Status.RESOLVED_BUYER)
        if trade.arbitrator == ZERO:
            assert told == []
        else:
            self.pool.missed(order)
            self.agree(told, trade.arbitrator, order, consistent=False)

    @rule(blocks=st.sampled_from([1, 1, 4, 100, 255, 300]))
    def wait(self, blocks: int) -> None:
        chain.move(seconds=12 * blocks, blocks=blocks)

    @invariant()
    def the_pool_holds_all_stakes_and_credits_and_nothing_else(self) -> None:
        token, pool = self.market.usdt.address, self.market.pool
        credit, stakes = pool.credits(self.market.owner, token), pool.openAmount(token)
        assert credit + stakes == self.market.usdt.balanceOf(pool.address)
        assert stakes == self.pool.stakes * SCALE
        assert credit == (self.pool.forfeited - self.collected) * SCALE
        assert [pool.credits(who, token) for who in self.cast] == [0] * CAST

    @invariant()
    def every_arbitrator_is_as_the_model_says(self) -> None:
        pool = self.market.pool
        members = [pool.arbitratorAt(i) for i in range(pool.size())]
        assert Counter(members) == Counter(self.pool.members)
        for wallet, known in self.pool.arbiters.items():
            if known.registered:
                stored = (known.stake * SCALE, known.reputation, known.active)
                stored = (*stored, known.assigned, known.registered, known.resolved)
                assert tuple(pool.getArbitrator(wallet)) == stored

    @invariant()
    def assigned_are_those_whom_open_disputes_wait_for(self) -> None:
        waiting: Counter[str] = Counter()
        for order, trade in self.books.trades.items():
            held = str(self.market.pool.arbitratorOf(order))
            stored = self.market.get(order)
            assert (stored.status, stored.draws) == (trade.status, trade.draws)
            disputed = trade.status == Status.DISPUTED
            assert held == (str(stored.arbitrator) if disputed else ZERO)
            assert held == ZERO or held not in (*trade.parties, *trade.missed)
            waiting[held] += 1
        for wallet in self.pool.members:
            assert self.market.arbiter(wallet).assigned == waiting[wallet]

    @invariant()
    def the_escrow_holds_what_is_open_and_owed(self) -> None:
        token = self.market.usdc.address
        owed = sum(self.market.credit(who) for who in (*self.cast, self.market.treasury))
        assert owed + self.books.open(token) == self.market.usdc.balanceOf(self.market.escrow.address)

    def teardown(self) -> None:
        """Whatever happened: strangers end every dispute, then every arbitrator leaves and no token stays behind."""
        try:
            for order, trade in self.books.trades.items():
                if trade.status == Status.DISPUTED:
                    chain.move_to(max(trade.default_deadline, chain.now()))
                    self.let_end(order, trade)
            for who in range(CAST):
                self.withdraw(who)
            self.collect(0, owner=True)
            assert self.market.pool.size() == self.market.usdt.balanceOf(self.market.pool.address) == 0
        finally:
            self.world.__exit__(None, None, None)


def test_random_rulings_agree_with_the_models_and_every_stake_comes_out(staked: Market) -> None:
    for who in staked.people:
        staked.usdt.mint(who, 10**14 * one(staked.usdt))
    Ruling.opened = staked
    run_state_machine_as_test(
        Ruling,
        settings=settings(
            max_examples=int(os.environ.get("RULING_EXAMPLES", "20")),
            stateful_step_count=int(os.environ.get("RULING_STEPS", "50")),
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
