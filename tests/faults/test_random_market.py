"""Random people trade, dispute, rule and wait, while blocks are taken back and processes killed; all must agree.

Hypothesis chooses what happens. Each act is held against the rules (ledger.py, seats.py, shop.py); in quiet moments and
at the end of every run everything is (verdict.py). A failure is printed as the shortest story that shows it, each act
with its outcome. `make test` tells the same few stories every time, `make faults` (FAULTS=full) up to 200 new ones, for
ten minutes at most; the blob that Hypothesis prints tells one again.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from entrepot.client import Token
from entrepot.dev import postgres
from tests.faults.acts import TOKENS
from tests.faults.fair import NAMES, Fair, put_up
from tests.faults.keeping import Keeping
from tests.faults.ledger import LEGAL, Trade
from tests.faults.shop import Listing
from tests.faults.verdict import look, verdict

IS_FULL = os.environ.get("FAULTS") == "full"
RUNS, STEPS, BATCH, LONGEST = (200, 80, 10, 600.0) if IS_FULL else (5, 60, 5, 0.0)
SELLERS = ("anna", "bert", "emma")

which = st.integers(0, 30)
person = st.sampled_from(NAMES)
side = st.sampled_from(("buyer", "buyer", "seller", "seller", *NAMES[-2:]))
court = st.sampled_from(("buyer", "seller", "arbitrator", "arbitrator", "hugo"))
token = st.sampled_from(TOKENS)
moment = st.integers(0, 300).map(lambda thousandths: thousandths / 1000)
left = st.sampled_from((None, 0, 1, 2))
stakes = st.sampled_from((0, 499, 500, 500, 5_000))
prices = st.sampled_from(("1", "7.123457", "50", "50.01"))
MORE: dict[str, tuple[object, ...]] = {
    "sellerConfirmDelivery": (bytes(range(32)),),
    "submitEvidence": ("bafy",),
    "resolveDispute": (True,),
}
CALLS = (
    "sellerConfirmDelivery",
    "buyerConfirmReceived",
    "cancelOrder",
    "openDispute",
    "submitEvidence",
    "autoExpireOrder",
    "autoReleaseToSeller",
    "autoResolveDispute",
    "resolveDispute",
)

GOVERNING = (
    "the owner pauses",
    "the owner unpauses",
    "the owner unpauses",
    "the owner allows",
    "the owner allows",
    "the owner refuses",
    "the owner charges",
    "a stranger unpauses",
    "a stranger allows",
    "a stranger charges",
)
COURT = ("openDispute", "drawArbitrator", "resolveDispute")


class RandomMarket(RuleBasedStateMachine):
    """What may happen at the fair."""

    fair: Fair
    portal: BlockingPortal

    def __init__(self) -> None:
        super().__init__()
        self.story, self.failed = list[str](), False
        self.portal.call(self.fair.sweep)
        self.acts = Keeping(self.fair)

    def do(self, told: str, act: Callable[..., Awaitable[Any]], *arguments: Any, **named: Any) -> None:
        """One act, and its place in the story."""
        try:
            outcome = self.portal.call(lambda: act(*arguments, **named))
        except Exception as error:
            self.failed = True
            error.add_note("\n".join((*self.story, f"{told}: {type(error).__name__}")))
            raise
        self.story.append(f"{told}: {outcome}")

    def listing(self, number: int) -> Listing:
        known = list(self.acts.shop.listings.values())
        return known[number % len(known)]

    def trade(self, number: int) -> Trade | None:
        """One of the orders, the newest first; what is done to an order is nothing while there is none.

        Not a precondition: what Hypothesis may choose must not depend on the outcome of acts.
        """
        known = list(self.acts.ledger.trades.values())
        return known[-1 - number % len(known)] if known else None

    def named(self, trade: Trade, who: str) -> str:
        """Whoever that is, as seen from the trade."""
        wallet = {"buyer": trade.buyer, "seller": trade.seller, "arbitrator": trade.arbitrator or trade.buyer}.get(who)
        return who if wallet is None else next(n for n, each in self.fair.wallets.items() if each == wallet)

    @initialize(stock=st.integers(1, 2), price=prices)
    def opening(self, stock: int, price: str) -> None:
        self.do(f"anna offers {stock} for {price}", self.acts.offer, "anna", price, stock)
        for name in ("finn", "gina"):
            self.do(f"{name} joins the arbitrators", self.acts.join, name, 500)
        self.prepare(0, "bert", Token.USDT, pays=True)

    @rule(by=st.sampled_from(SELLERS), price=prices, stock=st.integers(1, 2))
    def offer(self, by: str, price: str, stock: int) -> None:
        self.do(f"{by} offers {stock} for {price}", self.acts.offer, by, price, stock)

    @rule(number=which, by=st.sampled_from((None, None, None, "gina")), asked=st.none() | st.booleans(), stock=left)
    def edit(self, number: int, by: str | None, asked: bool | None, stock: int | None) -> None:  # noqa: FBT001
        listing = self.listing(number)
        who = by or next(name for name, wallet in self.fair.wallets.items() if wallet == listing.seller)
        status = None if asked is None else "paused" if asked else "active"
        told = f"{who} makes {listing.good[:8]} {status or 'stay as it is'}, {stock} left"
        self.do(told, self.acts.edit, listing, who, status, stock)

    @rule(number=which, by=st.sampled_from(SELLERS))
    def delete(self, number: int, by: str) -> None:
        listing = self.listing(number)
        self.do(f"{by} deletes {listing.good[:8]}", self.acts.delete, listing, by)

    @rule(number=which, by=person, token=token, pays=st.booleans())
    def prepare(self, number: int, by: str, token: str, *, pays: bool) -> None:
        listing, known = self.listing(number), len(self.acts.shop.reservations)
        self.do(f"{by} reserves {listing.good[:8]} for {token}", self.acts.prepare, listing, by, token)
        if pays and len(self.acts.shop.reservations) > known:
            name = list(self.acts.shop.reservations)[-1]
            self.do(f"{by} pays for {name}", self.acts.pay, name, by)

    @rule(number=which, by=st.sampled_from((None, None, "hugo")), late=st.booleans())
    def pay(self, number: int, by: str | None, *, late: bool) -> None:
        known = self.acts.shop.reservations
        if not known:
            return
        name = list(known)[-1 - number % len(known)]
        buyer = next(one for one, wallet in self.fair.wallets.items() if wallet == known[name].buyer)
        if late:
            self.do(f"{name} waits too long", self.acts.lapse, name)
        self.do(f"{by or buyer} pays for {name}", self.acts.pay, name, by or buyer)

    @rule(number=which, by=person, token=token, tenths=st.sampled_from((9, 10, 123)), listed=st.booleans())
    def buy_directly(self, number: int, by: str, token: str, tenths: int, *, listed: bool) -> None:
        listing = self.listing(number)
        told = f"{by} orders {listing.good[:8] if listed else 'something else'} around the market for {tenths / 10}"
        self.do(told, self.acts.buy_directly, listing, by, token, tenths, listed=listed)

    @rule(number=which, who=side, function=st.sampled_from(CALLS))
    def call(self, number: int, who: str, function: str) -> None:
        if (trade := self.trade(number)) is None:
            return
        by = self.named(trade, who)
        told = f"{by} calls {function} of order {trade.number}"
        self.do(told, self.acts.act, function, trade.number, by, MORE.get(function, ()))

    @rule(number=which, who=side, function=st.sampled_from(CALLS[:3]))
    def ask(self, number: int, who: str, function: str) -> None:
        if (trade := self.trade(number)) is None:
            return
        by = self.named(trade, who)
        told = f"{by} asks the market for {function} of order {trade.number}"
        self.do(told, self.acts.through_market, function, trade, by)

    @rule(number=which, blocks=st.sampled_from((1, 1, 300)))
    def quarrel(self, number: int, blocks: int) -> None:
        """As far as the order still can be quarrelled about."""
        if (trade := self.trade(number)) is None:
            return
        buyer, seller = self.named(trade, "buyer"), self.named(trade, "seller")
        for by, function in ((seller, "sellerConfirmDelivery"), (buyer, "openDispute")):
            told = f"{by} calls {function} of order {trade.number}"
            self.do(told, self.acts.act, function, trade.number, by, MORE.get(function, ()))
        self.do(f"{buyer} lets the chain draw for it", self.acts.draw, trade.number, buyer, blocks)

    @rule(number=which, by=person, blocks=st.integers(0, 1))
    def draw(self, number: int, by: str, blocks: int) -> None:
        if (trade := self.trade(number)) is None:
            return
        self.do(f"{by} draws for order {trade.number}", self.acts.draw, trade.number, by, blocks)

    @rule(number=which, by=st.none() | person, for_buyer=st.booleans())
    def decide(self, number: int, by: str | None, *, for_buyer: bool) -> None:
        drawn = [trade for trade in self.acts.ledger.trades.values() if trade.arbitrator]
        if not drawn:
            return
        trade = drawn[-1 - number % len(drawn)]
        who = by or next(name for name, wallet in self.fair.wallets.items() if wallet == trade.arbitrator)
        told = f"{who} rules on order {trade.number} for the {'buyer' if for_buyer else 'seller'}"
        self.do(told, self.acts.rule, trade.number, who, for_buyer=for_buyer)

    @rule(number=which, who=court, function=st.sampled_from(COURT), for_buyer=st.booleans())
    def ask_court(self, number: int, who: str, function: str, *, for_buyer: bool) -> None:
        if (trade := self.trade(number)) is None:
            return
        by = self.named(trade, who)
        told = f"{by} asks the market for {function} of order {trade.number}"
        self.do(told, self.acts.through_court, function, trade.number, by, for_buyer=for_buyer)

    @rule(number=which, who=side, stars=st.integers(1, 5))
    def review(self, number: int, who: str, stars: int) -> None:
        if (trade := self.trade(number)) is None:
            return
        by = self.named(trade, who)
        self.do(f"{by} gives {stars} stars for order {trade.number}", self.acts.review, trade, by, stars)

    @rule(by=person, token=token)
    def withdraw(self, by: str, token: str) -> None:
        self.do(f"{by} withdraws {token}", self.acts.withdraw, by, token)

    @rule(number=which, choice=which)
    def go_on(self, number: int, choice: int) -> None:
        """Somebody does with an order what is legal now, if anything is."""
        if (trade := self.trade(number)) is None:
            return
        now = self.portal.call(self.acts.head)[1]
        may = [
            (name, function)
            for function in CALLS
            for name, wallet in self.fair.wallets.items()
            if LEGAL[function](trade, wallet, now)
        ]
        if may:
            by, function = may[choice % len(may)]
            told = f"{by} calls {function} of order {trade.number}"
            self.do(told, self.acts.act, function, trade.number, by, MORE.get(function, ()))

    @rule(number=which, choice=which)
    def go_on_too(self, number: int, choice: int) -> None:
        """Orders shall come to their end."""
        self.go_on(number, choice)

    @rule(what=st.sampled_from(GOVERNING), token=token, bps=st.sampled_from((0, 200, 1_000, 1_001)))
    def govern(self, what: str, token: Token, bps: int) -> None:
        by = "hugo" if what.startswith("a stranger") else None
        match what.rsplit(maxsplit=1)[-1]:
            case "pauses" | "unpauses" as verb:
                self.do(what, self.acts.pause, by, pause=verb == "pauses")
            case "allows" | "refuses" as verb:
                self.do(f"{what} {token}", self.acts.allow, by, token, verb == "allows")
            case _:
                self.do(f"{what} {bps}", self.acts.charge, by, bps)

    @rule(by=st.sampled_from(("finn", "gina", "hugo", "anna")), what=st.integers(0, 3), tokens=stakes)
    def sit(self, by: str, what: int, tokens: int) -> None:
        acts = (self.acts.join, self.acts.join, self.acts.stake_more)
        if what < len(acts):
            self.do(f"{by} stakes {tokens}", acts[what], by, tokens)
        else:
            self.do(f"{by} leaves the arbitrators", self.acts.leave, by)

    @rule(what=st.sampled_from(("worker", "server", "backends")), after=moment)
    def calamity(self, what: str, after: float) -> None:
        fair = self.fair
        kill = {"worker": fair.kill_worker, "server": fair.kill_server, "backends": fair.kill_backends}[what]
        self.do(f"the {what} will be killed in {after} s", self.later, kill, after)

    @rule(hours=st.sampled_from((1, 25, 73, 24 * 7)))
    def wait(self, hours: int) -> None:
        self.do(f"{hours} hours pass", self.acts.wait, hours)

    @rule(depth=st.integers(1, 12), again=st.booleans(), read=st.booleans())
    def reorganise(self, depth: int, *, again: bool, read: bool) -> None:
        told = f"{depth} blocks are reorganised away" + (" that were read" if read else "")
        self.do(told, self.acts.reorganise, depth, again=again, read=read)

    @rule(depth=st.integers(2, 6))
    def take_back(self, depth: int) -> None:
        """What has just been read never happened."""
        self.reorganise(depth, again=False, read=True)

    @rule(killed_after=st.none() | moment)
    def keep(self, killed_after: float | None) -> None:
        self.do(f"the keeper comes (killed: {killed_after})", self.acts.keep, killed_after)

    async def later(self, does: Callable[[float], Any], after: float) -> str:
        """One calamity at a time."""
        await self.fair.settled()
        self.fair.errand(does, after)
        return "meanwhile"

    @rule()
    def quiet(self) -> None:
        self.do("a quiet moment", look, self.acts)

    def teardown(self) -> None:
        if not self.failed:
            self.do("in the end", verdict, self.acts)


@pytest.fixture
def fair(cluster: postgres.Server, tmp_path: Path) -> Iterator[tuple[Fair, BlockingPortal]]:
    """The fair, in a thread of its own, since Hypothesis knows no coroutines."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(put_up(cluster, tmp_path)) as made:
        yield made, portal


@pytest.mark.timeout(3000)
def test_whatever_happens_chain_market_and_rules_agree(fair: tuple[Fair, BlockingPortal]) -> None:
    RandomMarket.fair, RandomMarket.portal = fair
    wanted = settings(
        max_examples=BATCH,
        stateful_step_count=STEPS,
        derandomize=not IS_FULL,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    runs, ends = 0, monotonic() + LONGEST
    while runs == 0 or (runs < RUNS and monotonic() < ends):
        run_state_machine_as_test(RandomMarket, settings=wanted)
        runs += BATCH
    print(f"{runs} runs")
