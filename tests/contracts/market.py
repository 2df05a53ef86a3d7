"""The escrow, its tokens and its people, and the short ways in which the contract tests deal with them."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import boa
import chain

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "contracts"
BESIDE = Path(__file__).resolve().parent

HOUR = 3600
DAY = 24 * HOUR
ZERO = "0x" + "00" * 20
NO_HASH = b"\0" * 32
PRODUCT = b"p" * 32
REFERENCE = b"r" * 32
DELIVERY = b"d" * 32
PURSE = 10**13


class Status(IntEnum):
    NONE = 0
    CREATED = 1
    SELLER_CONFIRMED = 2
    COMPLETED = 3
    DISPUTED = 4
    RESOLVED_BUYER = 5
    RESOLVED_SELLER = 6
    CANCELLED = 7
    EXPIRED = 8


@dataclass(frozen=True)
class Market:
    escrow: Any
    pool: Any
    usdc: Any
    usdt: Any
    owner: str
    treasury: str
    buyer: str
    seller: str
    arbitrators: list[str]
    stranger: str

    @property
    def people(self) -> list[str]:
        return [self.owner, self.treasury, self.buyer, self.seller, *self.arbitrators, self.stranger]

    def order(self, token: Any = None, amount: int | None = None) -> int:
        """A new order of 100 tokens, unless told otherwise."""
        token = token or self.usdc
        amount = 100 * one(token) if amount is None else amount
        return self.escrow.createOrder(self.seller, token.address, amount, PRODUCT, REFERENCE, sender=self.buyer)

    def delivered(self, token: Any = None, amount: int | None = None) -> int:
        order = self.order(token, amount)
        self.escrow.sellerConfirmDelivery(order, DELIVERY, sender=self.seller)
        return order

    def disputed(self, token: Any = None, amount: int | None = None) -> int:
        order = self.delivered(token, amount)
        self.escrow.openDispute(order, sender=self.buyer)
        return order

    def drawn(self, token: Any = None, amount: int | None = None) -> int:
        """A dispute with its first arbitrator."""
        order = self.disputed(token, amount)
        self.draw(order)
        return order

    def draw(self, order: int) -> str:
        """Waits until the draw block is past and lets a stranger draw; who is arbitrator then."""
        chain.move(seconds=60, blocks=self.escrow.DRAW_DELAY() + 1)
        self.escrow.drawArbitrator(order, sender=self.stranger)
        return self.arbitrator(order)

    def redraw(self, order: int) -> str:
        """Lets the arbitrator's deadline pass, tells so and draws another one."""
        chain.move_to(self.get(order).rulingDeadline)
        self.escrow.drawArbitrator(order, sender=self.stranger)
        return self.draw(order)

    def get(self, order: int) -> Any:
        return self.escrow.getOrder(order)

    def status(self, order: int) -> Status:
        return Status(self.get(order).status)

    def arbitrator(self, order: int) -> str:
        return str(self.get(order).arbitrator)

    def credit(self, who: str, token: Any = None) -> int:
        return self.escrow.credits(who, (token or self.usdc).address)

    def act(self, by: str, call: str, *arguments: Any) -> tuple[str, dict[str, Any]]:
        """Calls the escrow; the name and the fields of the one event that it logs."""
        getattr(self.escrow, call)(*arguments, sender=by)
        logged = self.told(self.escrow)
        assert len(logged) == 1, f"{call} logged {logged}"
        return logged[0]

    def told(self, by: Any, during: Any = None) -> list[tuple[str, dict[str, Any]]]:
        """Names and fields of the events that one contract logged in the last call of it, or of another one."""
        logged = [log for log in (during or by).get_logs() if log.address == by.address]
        return [
            (type(log).__name__, {name: value for name, value in log._asdict().items() if name != "address"})
            for log in logged
        ]

    def stake(self, who: str, tokens: int) -> None:
        self.pool.register(tokens * one(self.usdt), sender=who)

    def stake_all(self, tokens: int = 1_000) -> None:
        """Every arbitrator registers; then time passes, so that all of it counts in the next dispute."""
        for who in self.arbitrators:
            self.stake(who, tokens)
        chain.move(seconds=60, blocks=10)

    def arbiter(self, who: str) -> Any:
        return self.pool.getArbitrator(who)


def one(token: Any) -> int:
    """Base units of one token."""
    return 10 ** token.decimals()


@cache
def compiled(path: Path) -> Any:
    return boa.load_partial(str(path))


def load(path: Path, *arguments: Any) -> Any:
    return compiled(path).deploy(*arguments)


def open_market() -> Market:
    """A market whose pool is the stand-in, which draws among the arbitrators without asking for stakes."""
    owner, tokens = found()
    pool = load(BESIDE / "StandInPool.vy")
    market = furnish(owner, tokens, pool)
    pool.setCandidates(market.arbitrators)
    return market


def open_staked_market() -> Market:
    """A market with the pool itself, whose stakes are the token with 18 decimals that returns nothing; it is empty."""
    owner, tokens = found()
    with boa.env.prank(owner):
        pool = load(CONTRACTS / "ArbitratorPool.vy", tokens[1].address)
    market = furnish(owner, tokens, pool)
    pool.setEscrow(market.escrow.address, sender=owner)
    for who in market.people:
        market.usdt.approve(pool.address, 2**256 - 1, sender=who)
    return market


def found() -> tuple[str, tuple[Any, Any]]:
    owner = str(boa.env.generate_address())
    with boa.env.prank(owner):
        usdc = load(CONTRACTS / "TestUSDC.vy", "USD Coin", "USDC", 6)
        usdt = load(CONTRACTS / "TestUSDT.vy", "Tether USD", "USDT", 18)
    return owner, (usdc, usdt)


def furnish(owner: str, tokens: tuple[Any, Any], pool: Any) -> Market:
    """Deploys the escrow; everyone's purse is full and everyone trusts the escrow with all of it."""
    treasury, buyer, seller, stranger = (str(boa.env.generate_address()) for _ in range(4))
    arbitrators = [str(boa.env.generate_address()) for _ in range(4)]
    with boa.env.prank(owner):
        escrow = load(CONTRACTS / "P2PEscrow.vy", pool.address, treasury, 200)
        for token in tokens:
            escrow.setSupportedToken(token.address, True)
    market = Market(escrow, pool, *tokens, owner, treasury, buyer, seller, arbitrators, stranger)
    for who in market.people:
        for token in tokens:
            fill(market, token, who)
    return market


def fill(market: Market, token: Any, who: str) -> None:
    token.mint(who, PURSE * one(token))
    token.approve(market.escrow.address, 2**256 - 1, sender=who)
