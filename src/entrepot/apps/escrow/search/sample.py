"""A sample of the active listings, by which a search guesses how often words occur and where."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import and_

import msgspec

from entrepot.apps.escrow.calls.products import ListProducts

MANY = 100
"""So many of the sample that it does not matter how many more there are, and looking at each would cost too much."""


class Sampled(msgspec.Struct, frozen=True):
    """A listing of the sample; `text` is what a search looks through, in lower case."""

    created_at: datetime
    text: str
    category: str
    price_usdt: Decimal

    def fits(self, ask: ListProducts) -> bool:
        """Whether the filters beside the words let it through."""
        return (
            ask.category in {None, self.category}
            and (ask.min_price is None or self.price_usdt >= ask.min_price)
            and (ask.max_price is None or self.price_usdt <= ask.max_price)
        )


def trigrams(text: str) -> list[str]:
    """The trigrams, in the text's order, that the index can hold: letters and digits only."""
    return [text[n : n + 3] for n in range(len(text) - 2) if text[n : n + 3].isalnum()]


def places(mask: int) -> list[int]:
    """The bits that are set, ascending."""
    found = []
    while mask:
        found.append((mask & -mask).bit_length() - 1)
        mask &= mask - 1
    return found


@dataclass
class Sample:
    """Some active listings, newest first; each stands for `scale` rows of the table."""

    scale: float
    listings: Sequence[Sampled]
    keys: list[float] = field(init=False)
    masks: dict[str, int] = field(init=False)
    """For each trigram the listings that hold it, as the bits of a number."""

    def __post_init__(self) -> None:
        self.keys = [-listing.created_at.timestamp() for listing in self.listings]
        holders: dict[str, list[int]] = {}
        for n, listing in enumerate(self.listings):
            for trigram in set(trigrams(listing.text)):
                holders.setdefault(trigram, []).append(n)
        self.masks = {trigram: sum(1 << n for n in found) for trigram, found in holders.items()}

    def __len__(self) -> int:
        return len(self.listings)

    @property
    def rows(self) -> float:
        """About how many active listings there are."""
        return len(self) * self.scale

    def newer(self, moment: datetime) -> int:
        """How many of the sample are newer than the moment: the place of the first that is not."""
        return bisect_left(self.keys, -moment.timestamp())

    def older(self, moment: datetime) -> int:
        """The place of the first that is older than the moment."""
        return bisect_right(self.keys, -moment.timestamp())

    def holding(self, wanted: Sequence[str]) -> int:
        """The listings that hold all these trigrams, as the bits of a number."""
        return reduce(and_, (self.masks.get(trigram, 0) for trigram in wanted), (1 << len(self)) - 1)

    def holders(self, text: str) -> int:
        """How many of the sample hold this piece of text, in lower case; where they are many, how many at the most."""
        candidates = self.holding(trigrams(text))
        if (most := candidates.bit_count()) > MANY:
            return most
        return sum(text in self.listings[n].text for n in places(candidates))

    def hits(self, ask: ListProducts) -> list[int]:
        """The places of what the whole question finds in the sample."""
        low = (ask.q or "").lower()
        candidates = places(self.holding(trigrams(low)))
        return [n for n in candidates if low in self.listings[n].text and self.listings[n].fits(ask)]
