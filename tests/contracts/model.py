"""What the escrow should do, written from the rules and not from the contract: who may act when, who is due what."""

from collections import Counter
from dataclasses import dataclass, field

from market import DAY, HOUR, ZERO, Status

SELLER_TIME, BUYER_TIME, RULING_TIME, REDRAW_TIME = 24 * HOUR, 72 * HOUR, 7 * DAY, DAY
DRAWS, DELAY, HASHES = 3, 5, 256
LARGEST = 10**11


@dataclass
class Trade:
    """One order, in the words of the rules."""

    token: str
    unit: int
    buyer: str
    seller: str
    amount: int
    fee: int
    fee_receiver: str
    seller_deadline: int
    status: Status = Status.CREATED
    release_deadline: int = 0
    draw_block: int = 0
    default_deadline: int = 0
    ruling_deadline: int = 0
    arbitrator: str = ZERO
    draws: int = 0
    missed: set[str] = field(default_factory=set)

    @property
    def parties(self) -> tuple[str, str]:
        return self.buyer, self.seller

    @property
    def arbitration_fee(self) -> int:
        return share(self.amount, 500, self.unit)

    @property
    def open(self) -> int:
        ongoing = (Status.CREATED, Status.SELLER_CONFIRMED, Status.DISPUTED)
        return self.amount + self.fee if self.status in ongoing else 0


def share(amount: int, bps: int, unit: int) -> int:
    """A share of an amount, counted in whole millionths of a token and rounded down."""
    millionths = amount * 10**6 // unit
    return millionths * bps // 10_000 * unit // 10**6


class Rules:
    """Which acts are legal, by trade, actor, time and block."""

    def deliver(self, trade: Trade, by: str, now: int, block: int) -> bool:
        return trade.status == Status.CREATED and by == trade.seller and now < trade.seller_deadline

    def receive(self, trade: Trade, by: str, now: int, block: int) -> bool:
        return trade.status == Status.SELLER_CONFIRMED and by == trade.buyer

    def cancel(self, trade: Trade, by: str, now: int, block: int) -> bool:
        return trade.status == Status.CREATED and by in trade.parties

    def expire(self, trade: Trade, by: str, now: int, block: int) -> bool:
        return trade.status == Status.CREATED and now >= trade.seller_deadline

    def release(self, trade: Trade, by: str, now: int, block: int) -> bool:
        return trade.status == Status.SELLER_CONFIRMED and now >= trade.release_deadline

    def dispute(self, trade: Trade, by: str, now: int, block: int) -> bool:
        delivered = trade.status == Status.SELLER_CONFIRMED
        return delivered and by in trade.parties and now < trade.release_deadline

    def evidence(self, trade: Trade, by: str, now: int, block: int) -> bool:
        return trade.status == Status.DISPUTED and by in trade.parties and now < trade.default_deadline

    def rule(self, trade: Trade, by: str, now: int, block: int) -> bool:
        return trade.status == Status.DISPUTED and by == trade.arbitrator and now < trade.ruling_deadline

    def resolve(self, trade: Trade, by: str, now: int, block: int) -> bool:
        return trade.status == Status.DISPUTED and now >= trade.default_deadline

    def draw(self, trade: Trade, by: str, now: int, block: int) -> bool:
        if trade.status != Status.DISPUTED or now >= trade.default_deadline:
            return False
        if trade.arbitrator != ZERO:
            return now >= trade.ruling_deadline and trade.draws < DRAWS
        return block > trade.draw_block


class Books:
    """All trades and what everybody is due and has been paid, in base units by (person, token)."""

    def __init__(self) -> None:
        self.trades: dict[int, Trade] = {}
        self.due: Counter[tuple[str, str]] = Counter()
        self.paid: Counter[tuple[str, str]] = Counter()

    def owed(self, who: str, token: str) -> int:
        return self.due[who, token] - self.paid[who, token]

    def open(self, token: str) -> int:
        return sum(trade.open for trade in self.trades.values() if trade.token == token)

    def give(self, trade: Trade, who: str, amount: int) -> None:
        self.due[who, trade.token] += amount

    def delivered(self, trade: Trade, now: int) -> None:
        trade.status, trade.release_deadline = Status.SELLER_CONFIRMED, now + BUYER_TIME

    def completed(self, trade: Trade) -> None:
        trade.status = Status.COMPLETED
        self.give(trade, trade.seller, trade.amount)
        self.give(trade, trade.fee_receiver, trade.fee)

    def refunded(self, trade: Trade, status: Status) -> None:
        trade.status = status
        self.give(trade, trade.buyer, trade.amount + trade.fee)

    def disputed(self, trade: Trade, now: int, block: int) -> None:
        trade.status = Status.DISPUTED
        trade.draw_block, trade.default_deadline = block + DELAY, now + RULING_TIME

    def postponed(self, trade: Trade, block: int) -> None:
        trade.draw_block = block + DELAY
        if trade.arbitrator != ZERO:
            trade.missed.add(trade.arbitrator)
            trade.arbitrator = ZERO

    def drawn(self, trade: Trade, arbitrator: str, now: int) -> None:
        trade.arbitrator, trade.draws = arbitrator, trade.draws + 1
        trade.ruling_deadline = now + RULING_TIME
        again = REDRAW_TIME if trade.draws < DRAWS else 0
        trade.default_deadline = trade.ruling_deadline + again

    def ruled(self, trade: Trade, winner: str) -> None:
        self.give(trade, trade.arbitrator, trade.arbitration_fee)
        if winner == trade.buyer:
            trade.status = Status.RESOLVED_BUYER
            self.give(trade, trade.buyer, trade.amount + trade.fee - trade.arbitration_fee)
        else:
            trade.status = Status.RESOLVED_SELLER
            self.give(trade, trade.seller, trade.amount - trade.arbitration_fee)
            self.give(trade, trade.fee_receiver, trade.fee)
