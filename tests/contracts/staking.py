"""What the pool of arbitrators should do, written from the rules: stakes, reputation, weights, and who is drawn."""

from dataclasses import dataclass, field
from math import log

from eth_abi import encode
from eth_utils import keccak
from market import ZERO

MILLIONTHS = 10**6
MIN_STAKE, MAX_STAKE = 500 * MILLIONTHS, 10**11 * MILLIONTHS
OPEN_DRAW = 261


@dataclass
class Arbiter:
    """A wallet as the pool should know it; the stake is in millionths of a token."""

    stake: int = 0
    reputation: int = 50
    assigned: int = 0
    registered: int = 0
    resolved: int = 0
    # Each gain: its block, and the weight before it.
    gains: list[tuple[int, int]] = field(default_factory=list)

    @property
    def member(self) -> bool:
        return self.stake > 0

    @property
    def active(self) -> bool:
        return self.stake >= MIN_STAKE and self.reputation >= 10

    @property
    def weight(self) -> int:
        return self.stake * self.reputation if self.active else 0

    def weight_for(self, called: int) -> int:
        """Today's weight, or the least before the latest gains when those may be younger than the call for the draw.

        Gains count together while each came before every draw was over that was open at the one before it.
        """
        later, least = None, self.weight
        if self.gains[-1][0] < called:
            return least
        for block, before in reversed(self.gains):
            if later is not None and later > block + OPEN_DRAW:
                break
            later, least = block, min(least, before)
        return least


def wait(seed: bytes, wallet: str) -> float:
    chance = int.from_bytes(keccak(encode(["bytes32", "address"], [seed, wallet]))[:16]) / 2**128
    return -log(chance)


class Pool:
    """All wallets that ever registered, which of them has which order, and what the owner is due."""

    def __init__(self) -> None:
        self.arbiters: dict[str, Arbiter] = {}
        self.orders: dict[int, str] = {}
        self.missers: dict[int, set[str]] = {}
        self.forfeited = 0

    def get(self, wallet: str) -> Arbiter:
        return self.arbiters.setdefault(wallet, Arbiter())

    @property
    def members(self) -> set[str]:
        return {wallet for wallet, each in self.arbiters.items() if each.member}

    @property
    def stakes(self) -> int:
        return sum(each.stake for each in self.arbiters.values())

    def may_register(self, wallet: str, amount: int) -> bool:
        known = self.get(wallet)
        return not known.member and known.reputation >= 10 and MIN_STAKE <= amount <= MAX_STAKE

    def register(self, wallet: str, amount: int, block: int) -> None:
        known = self.get(wallet)
        known.stake, known.registered, known.gains = amount, block, [(block, 0)]

    def may_increase(self, wallet: str, amount: int) -> bool:
        known = self.get(wallet)
        return known.member and 0 < amount <= MAX_STAKE - known.stake

    def increase(self, wallet: str, amount: int, block: int) -> None:
        known = self.get(wallet)
        known.gains.append((block, known.weight))
        known.stake += amount

    def may_withdraw(self, wallet: str) -> bool:
        return self.get(wallet).member and not self.get(wallet).assigned

    def eligible(self, order: int, parties: tuple[str, str], called: int) -> dict[str, int]:
        """Weights of all who may be drawn."""
        out = {*parties, *self.missers.get(order, ())}
        weights = {
            who: each.weight_for(called) for who, each in self.arbiters.items() if each.member and who not in out
        }
        return {who: weight for who, weight in weights.items() if weight}

    def first(self, order: int, parties: tuple[str, str], called: int, seed: bytes) -> str:
        weights = self.eligible(order, parties, called)
        return min(weights, key=lambda who: wait(seed, who) / weights[who], default=ZERO)

    def assign(self, order: int, wallet: str) -> None:
        self.orders[order] = wallet
        self.get(wallet).assigned += 1

    def ruled(self, order: int, block: int) -> None:
        known = self.get(self.orders.pop(order))
        known.assigned -= 1
        known.resolved += 1
        known.gains.append((block, known.weight))
        known.reputation = min(known.reputation + 2, 100)

    def missed(self, order: int) -> None:
        wallet = self.orders.pop(order)
        known = self.get(wallet)
        self.missers.setdefault(order, set()).add(wallet)
        known.assigned -= 1
        forfeit = known.stake // 10
        known.stake -= forfeit
        self.forfeited += forfeit
        known.reputation = max(known.reputation - 5, 0)
