"""What the contract should hold, written from the rules and not from its source: who may act when, who is due what."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.seats import Seats

HOUR, DAY = 3600, 24 * 3600
SELLER_TIME, BUYER_TIME, RULING_TIME, REDRAW_TIME = 24 * HOUR, 72 * HOUR, 7 * 24 * HOUR, 24 * HOUR
DRAW_DELAY, HASHES, DRAWS, ARBITRATION_BPS = 5, 256, 3, 500
LOCKED = ("created", "seller_confirmed", "disputed")
GIVEN_BACK = ("cancelled", "expired", "resolved_buyer")
TRADED = ("completed", "resolved_buyer", "resolved_seller")
RULED = ("resolved_buyer", "resolved_seller")
SOLD = ("completed", "resolved_seller")


@dataclass
class Trade:
    """One order. Amounts are base units, times are the chain's Unix seconds; `listing` is the hash of a listed good."""

    number: int
    identity: str
    buyer: str
    seller: str
    token: str
    amount: int
    fee: int
    fee_receiver: str
    reserved: str | None
    listing: str | None
    seller_deadline: int
    status: str = "created"
    release_deadline: int = 0
    default_deadline: int = 0
    ruling_deadline: int = 0
    draw_block: int = 0
    arbitrator: str | None = None
    draws: int = 0
    missed: set[str] = field(default_factory=set)
    ended_at: int = 0
    cancelled_by: str | None = None
    evidence: int = 0

    @property
    def parties(self) -> tuple[str, str]:
        return self.buyer, self.seller

    @property
    def wants_unit(self) -> bool:
        """Whether the good is the buyer's, or may still become so."""
        return self.status not in GIVEN_BACK

    @property
    def created_at(self) -> int:
        """When the order was made."""
        return self.seller_deadline - SELLER_TIME


Rule = Callable[[Trade, str, int], bool]
LEGAL: dict[str, Rule] = {
    "sellerConfirmDelivery": lambda t, by, now: t.status == "created" and by == t.seller and now < t.seller_deadline,
    "buyerConfirmReceived": lambda t, by, now: t.status == "seller_confirmed" and by == t.buyer,
    "cancelOrder": lambda t, by, now: t.status == "created" and by in t.parties,
    "autoExpireOrder": lambda t, by, now: t.status == "created" and now >= t.seller_deadline,
    "autoReleaseToSeller": lambda t, by, now: t.status == "seller_confirmed" and now >= t.release_deadline,
    "openDispute": lambda t, by, now: t.status == "seller_confirmed" and by in t.parties and now < t.release_deadline,
    "submitEvidence": lambda t, by, now: t.status == "disputed" and by in t.parties and now < t.default_deadline,
    "autoResolveDispute": lambda t, by, now: t.status == "disputed" and now >= t.default_deadline,
    "resolveDispute": lambda t, by, now: t.status == "disputed" and by == t.arbitrator and now < t.ruling_deadline,
}
"""By the contract's call: whether that order takes it from that wallet at that time."""


@dataclass
class Ledger:
    """Everything that a reorganisation takes back."""

    owner: str
    units: dict[str, int]
    """One whole token, by token."""
    seats: Seats
    trades: dict[int, Trade] = field(default_factory=dict)
    due: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What may be withdrawn, by wallet and token."""
    refused: set[str] = field(default_factory=set)
    """Tokens that new orders may not use."""
    paused: bool = False
    fee_bps: int = 200

    def may_create(self, buyer: str, seller: str, token: str, amount: int) -> bool:
        """Whether the contract takes a new order."""
        return not self.paused and token not in self.refused and buyer != seller and amount >= self.units[token]

    def share(self, token: str, amount: int, bps: int) -> int:
        """A share of an amount, in whole millionths of a token and rounded down."""
        millionth = self.units[token] // 10**6
        return amount // millionth * bps // 10_000 * millionth

    def locked(self, token: str) -> int:
        """What open orders hold."""
        return sum(t.amount + t.fee for t in self.trades.values() if t.token == token and t.status in LOCKED)

    def act(self, function: str, number: int, by: str, now: int, block: int, *more: object) -> bool:
        """Does it where it is legal; whether it was."""
        trade = self.trades.get(number)
        if trade is None or not LEGAL[function](trade, by, now):
            return False
        if function == "openDispute":
            trade.draw_block = block + DRAW_DELAY
        if function == "resolveDispute":
            self.ruled(trade, favors_buyer=bool(more[0]))
        else:
            EFFECTS[function](self, trade, by, now)
        if trade.status not in LOCKED:
            trade.ended_at = now
        return True

    def is_in_conflict(self, wallet: str, trade: Trade, now: int) -> bool:
        """Whether it has traded with a party in thirty days, or been the arbitrator of another dispute in seven."""
        others = [each for each in self.trades.values() if each is not trade and {*each.parties} & {*trade.parties}]
        traded = any(wallet in each.parties and now - each.created_at < 30 * DAY for each in others)
        judged = [each for each in others if each.arbitrator == wallet and each.status in RULED]
        return traded or any(now - each.ended_at < 7 * DAY for each in judged)

    def pay(self, trade: Trade, who: str, amount: int) -> None:
        """Owed from now on."""
        self.due[who, trade.token] += amount

    def delivered(self, trade: Trade, _by: str, now: int) -> None:
        trade.status, trade.release_deadline = "seller_confirmed", now + BUYER_TIME

    def completed(self, trade: Trade, _by: str, _now: int) -> None:
        trade.status = "completed"
        self.pay(trade, trade.seller, trade.amount)
        self.pay(trade, trade.fee_receiver, trade.fee)

    def refunded(self, trade: Trade, status: str) -> None:
        trade.status = status
        self.pay(trade, trade.buyer, trade.amount + trade.fee)

    def cancelled(self, trade: Trade, by: str, _now: int) -> None:
        trade.cancelled_by = by
        self.refunded(trade, "cancelled")

    def expired(self, trade: Trade, _by: str, _now: int) -> None:
        self.refunded(trade, "expired")

    def disputed(self, trade: Trade, _by: str, now: int) -> None:
        trade.status, trade.default_deadline = "disputed", now + RULING_TIME

    def proven(self, trade: Trade, _by: str, _now: int) -> None:
        trade.evidence += 1

    def defaulted(self, trade: Trade, _by: str, _now: int) -> None:
        self.refunded(trade, "resolved_buyer")
        if trade.arbitrator is not None:
            self.seats.missed(trade.arbitrator, trade.number)

    def ruled(self, trade: Trade, *, favors_buyer: bool) -> None:
        assert trade.arbitrator is not None, "else it is not legal"
        costs = self.share(trade.token, trade.amount, ARBITRATION_BPS)
        self.pay(trade, trade.arbitrator, costs)
        if favors_buyer:
            trade.status = "resolved_buyer"
            self.pay(trade, trade.buyer, trade.amount + trade.fee - costs)
        else:
            trade.status = "resolved_seller"
            self.pay(trade, trade.seller, trade.amount - costs)
            self.pay(trade, trade.fee_receiver, trade.fee)
        self.seats.ruled(trade.arbitrator, trade.number)

    def may_draw(self, number: int, now: int, block: int) -> bool:
        """Whether the search for an arbitrator can go on by a step."""
        trade = self.trades.get(number)
        if trade is None or trade.status != "disputed" or now >= trade.default_deadline:
            return False
        return now >= trade.ruling_deadline if trade.arbitrator is not None else block > trade.draw_block

    def draw(self, number: int, drawn: str | None, now: int, block: int) -> bool:
        """Notes on whom the draw fell, if on anybody; whether it may have come so."""
        trade = self.trades[number]
        if trade.arbitrator is not None or drawn is None:
            trade.draw_block = block + DRAW_DELAY
            if trade.arbitrator is not None:
                self.seats.missed(trade.arbitrator, number)
                trade.missed.add(trade.arbitrator)
                trade.arbitrator = None
            return drawn is None
        may = drawn in self.seats.may_draw({*trade.parties, *trade.missed}) and block - trade.draw_block <= HASHES
        self.seats.assign(drawn, number)
        trade.arbitrator, trade.draws, trade.ruling_deadline = drawn, trade.draws + 1, now + RULING_TIME
        trade.default_deadline = trade.ruling_deadline + (REDRAW_TIME if trade.draws < DRAWS else 0)
        return may


EFFECTS: dict[str, Callable[[Ledger, Trade, str, int], None]] = {
    "sellerConfirmDelivery": Ledger.delivered,
    "buyerConfirmReceived": Ledger.completed,
    "cancelOrder": Ledger.cancelled,
    "autoExpireOrder": Ledger.expired,
    "autoReleaseToSeller": Ledger.completed,
    "openDispute": Ledger.disputed,
    "submitEvidence": Ledger.proven,
    "autoResolveDispute": Ledger.defaulted,
}
