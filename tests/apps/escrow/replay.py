"""Events of an escrow contract without the contract: applied to the mirror as an indexer does, and taken back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from entrepot.apps.escrow import events
from entrepot.apps.escrow.operations.mirror import EscrowMirror
from entrepot.kernel.chain.abi import Event
from entrepot.kernel.chain.indexer import Position, Seen
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.chain.rpc import Log
from entrepot.kernel.db.database import Database
from entrepot.kernel.wallet import ZERO, Wallet, checksum

TOKEN = Wallet(checksum("0x" + "70" * 20))
START = datetime(2026, 1, 1, tzinfo=UTC)
HASH = bytes(range(32))
PEOPLE = [checksum("0x" + f"{n:02x}" * 20) for n in range(1, 7)]

ACTS: dict[str, Callable[[int, str], Event]] = {
    "deliver": lambda n, _: events.SellerConfirmed(n, HASH, 2_000_000_000),
    "complete": lambda n, _: events.OrderCompleted(n, False, 1, 1),
    "cancel": lambda n, by: events.OrderCancelled(n, by, 1),
    "expire": lambda n, _: events.OrderExpired(n, 1),
    "dispute": lambda n, by: events.DisputeOpened(n, by, 1, 2_000_000_000),
    "rule for buyer": lambda n, _: events.DisputeResolved(n, ZERO, True, True, 1, 0, 0, 0),
    "rule for seller": lambda n, _: events.DisputeResolved(n, ZERO, False, True, 0, 1, 0, 0),
}
"""By what is done: the event of order n, by somebody."""

WAYS = {
    "completed": ("deliver", "complete"),
    "resolved_buyer": ("deliver", "dispute", "rule for buyer"),
    "resolved_seller": ("deliver", "dispute", "rule for seller"),
    "cancelled": ("cancel",),
    "expired": ("expire",),
    "seller_confirmed": ("deliver",),
    "disputed": ("deliver", "dispute"),
    "created": (),
}
"""How an order comes to each of its states."""


@dataclass
class Replay:
    """One contract on one chain; each event is a block."""

    doors: Database
    chain: str = "ethereum"
    orders: int = 0
    forks: int = 0
    block: int = 0
    made_at: dict[int, int] = field(default_factory=dict)
    """The block that made each order."""

    def __post_init__(self) -> None:
        token = Deployed(self.chain, "USDT", TOKEN, 6, 0)
        self.mirror = EscrowMirror(self.chain, checksum("0x" + "e5" * 20), {TOKEN: token})
        self.hashes: list[str] = [self._hash(0)]

    def _hash(self, block: int) -> str:
        return "0x" + sha256(f"{self.chain} {self.forks} {block}".encode()).hexdigest()

    def _transaction(self, event: Event) -> str:
        """The same in every fork, so that what is mined again has the id that it had."""
        told = (event.buyer, event.seller) if isinstance(event, events.OrderCreated) else type(event).__name__
        return "0x" + sha256(f"{self.chain} {self.block} {told}".encode()).hexdigest()

    def _place(self, block: int) -> Position:
        return Position(block, self.hashes[block], START + timedelta(seconds=block))

    def trade(self, buyer: str, seller: str, end: str, by: str = "") -> list[Event]:
        """The events of an order from its creation to that state."""
        self.orders += 1
        number = self.orders
        made = events.OrderCreated(number, buyer, seller, TOKEN, 10**7, 10**5, HASH, bytes(32), 2_000_000_000)
        return [made, *(ACTS[act](number, by or buyer) for act in WAYS[end])]

    async def apply(self, *happened: Event) -> None:
        """One page."""
        was, seen = None if self.block == 0 else self._place(self.block), []
        for event in happened:
            self.block += 1
            self.hashes.append(self._hash(self.block))
            if isinstance(event, events.OrderCreated):
                self.made_at[event.order_id] = self.block
            block_hash, tx_hash = self.hashes[-1], self._transaction(event)
            log = Log(self.mirror.contract, (), "0x", self.block, block_hash, tx_hash, 0)
            seen.append(Seen(event, log, self._place(self.block).at))
        async with self.doors.write() as db:
            await self.mirror.apply(db, was, seen, self._place(self.block))

    async def back(self, blocks: int) -> None:
        """A reorganisation of that depth."""
        to = max(1, self.block - blocks)
        async with self.doors.write() as db:
            await self.mirror.undo(db, self._place(self.block), self._place(to))
        self.block, self.forks = to, self.forks + 1
        del self.hashes[to + 1 :]
        self.made_at = {number: block for number, block in self.made_at.items() if block <= to}
        self.orders = max(self.made_at, default=0)
