"""What the market itself should hold, written from the rules: listings, stock, reservations and reviews."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.apps.escrow import standings
from tests.faults.ledger import SOLD, TRADED, Ledger, Trade

NEWCOMERS_MOST, NEWCOMERS_ORDERS = Decimal(50), 3


@dataclass
class Listing:
    """A good for sale; `good` is its hash. `short` is how many orders want a unit while there is none."""

    id: UUID
    good: str
    seller: str
    price: Decimal
    stock: int
    status: str = "active"
    short: int = 0
    wanted: int = 0

    def turn(self, asked: str | None, stock: int) -> str | None:
        """The status after an edit; None where it is refused."""
        status = self.status
        if asked is not None:
            moves = {("active", "paused"): "paused", ("paused", "active"): "active"}
            if (status, asked) not in moves:
                return None
            status = moves[status, asked]
        return {("active", True): "sold_out", ("sold_out", False): "active"}.get((status, stock == 0), status)

    def want(self, orders: int) -> None:
        """So many orders want a unit now. Units that come back are first for those who have paid and got none."""
        while self.wanted < orders:
            self.wanted += 1
            self.stock, self.short = (self.stock - 1, self.short) if self.stock else (0, self.short + 1)
        while self.wanted > orders:
            self.wanted -= 1
            self.stock, self.short = (self.stock, self.short - 1) if self.short else (self.stock + 1, 0)
        self.status = self.turn(None, self.stock) or self.status


@dataclass
class Reservation:
    """One unit that is kept for a buyer until it is used or `lapsed`; what the buyer was told to send."""

    listing: Listing
    buyer: str
    token: str
    price: Decimal
    to: str
    data: str
    lapsed: bool = False


@dataclass
class Shop:
    """Everything that no reorganisation takes back."""

    newcomer: str
    listings: dict[str, Listing] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    reviews: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """By the order's identity and the reviewer: who was reviewed, and the stars."""

    def follow(self, ledger: Ledger) -> None:
        """Stock moves as the orders moved."""
        wanted = Counter(trade.listing for trade in ledger.trades.values() if trade.wants_unit)
        for good, listing in self.listings.items():
            listing.want(wanted[good])

    def used(self, ledger: Ledger) -> set[str]:
        """The reservations that orders were made of."""
        return {trade.reserved for trade in ledger.trades.values() if trade.reserved is not None}

    def live(self, ledger: Ledger) -> dict[str, Reservation]:
        """Those that keep a unit."""
        used = self.used(ledger)
        return {name: each for name, each in self.reservations.items() if not each.lapsed and name not in used}

    def preparing(self, ledger: Ledger, listing: Listing, buyer: str) -> tuple[int, str | None]:
        """The status that a preparation is answered with, and which reservation of the buyer's it ends."""
        if listing.status == "deleted":
            return 404, None
        if listing.seller == buyer or listing.status != "active":
            return 409, None
        live = self.live(ledger)
        kept = {name: each for name, each in live.items() if each.listing is listing}
        own = next((name for name, each in kept.items() if each.buyer == buyer), None)
        gives_up = own if len(kept) >= listing.stock else None
        if len(kept) >= listing.stock and (own is None or len(kept) > listing.stock):
            return 409, None
        if listing.seller == self.newcomer:
            orders = sum(trade.seller == self.newcomer for trade in ledger.trades.values())
            reserved = sum(each.listing.seller == self.newcomer for each in live.values()) - (gives_up is not None)
            if listing.price > NEWCOMERS_MOST or orders + reserved >= NEWCOMERS_ORDERS:
                return 409, None
        return 201, gives_up

    def reviewing(self, trade: Trade, by: str) -> int:
        """The status that a review is answered with."""
        if by not in trade.parties:
            return 404
        return 201 if trade.status in TRADED and (trade.identity, by) not in self.reviews else 409

    def sold(self, ledger: Ledger, good: str) -> int:
        """How many were sold."""
        return sum(trade.listing == good and trade.status in SOLD for trade in ledger.trades.values())

    def standing(self, ledger: Ledger, wallet: str) -> Mapping[str, Any]:
        """What the wallet's profile should say."""
        orders: list[Mapping[str, Any]] = [
            {
                "id": trade.identity,
                "status": trade.status,
                "buyer_wallet": trade.buyer,
                "seller_wallet": trade.seller,
                "cancelled_by": trade.cancelled_by,
                "orphaned_at": None,
            }
            for trade in ledger.trades.values()
        ]
        reviews: list[Mapping[str, Any]] = [
            {"order_id": identity, "target_wallet": target, "rating": stars}
            for (identity, _), (target, stars) in self.reviews.items()
        ]
        return standings.model(orders, reviews, wallet)
