"""Which stretch of time a search reads next, and how: by walking the newest first, or by one of two indexes.

A page is put together from contiguous stretches, newest first; each is read whole or until the page is full, so that
whatever the sample has guessed, nothing is missed. The figures are microseconds of CPU, measured by `make bench`.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from math import ceil

from entrepot.apps.escrow.search.pattern import HIT_US, KEY_US, Pattern, Run
from entrepot.apps.escrow.search.sample import Sample

NEAR = 6
"""How many sampled hits tell the density."""
WALK_US, FIXED_US = 2.2, 500.0
"""For a row walked past, and for a statement."""
HOLDER_US = 1.5
"""For a listing that is found by the index of whole words."""
SURE = 2.0
"""How much more the way may cost that is sure to make an end; a stretch may hold less than the sample promised."""
BUDGET_US = 12_000.0
"""What one request may cost; a page that would cost more comes short, with a cursor to go on."""
FIRST_US = 3_000.0
"""What the first step may cost where the sample promises hits: near ones are often enough."""
WALK_ROWS = 1_500
"""How many rows one request walks past when the words have no trigram."""
BLOCK, COARSE, OF_COARSE = timedelta(days=32), 8, 1_000_000
"""The index labels a listing by its block of 32 days, and by its run of eight, plus a million."""
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
OLDEST = datetime(1970, 1, 1, tzinfo=UTC)


class Way(Enum):
    """How a stretch is read: by walking, by the index of trigrams, or by that of whole words."""

    WALK = auto()
    TRIGRAMS = auto()
    WORDS = auto()


@dataclass(frozen=True)
class Stretch:
    """The next piece of time, down to `until`, how it is read, and what that should cost."""

    until: datetime
    way: Way
    cost: float


def next_stretch(
    sample: Sample, wanted: Pattern, hits: Sequence[int], before: datetime, need: int, step: int, budget: float
) -> Stretch:
    """Goes as far as the sample promises enough hits, by whichever way costs less there.

    The first step trusts the density of the next sampled hits; a later one goes on until it has met them.
    """
    start = sample.newer(before)
    first = bisect_left(hits, start)
    known = hits[first : first + NEAR]
    enough = min(NEAR, max(2, ceil(2 * need / sample.scale)))
    if not known or (step and len(known) < enough):
        return _by_index(sample, wanted, len(sample), before, budget)
    rows = need * (known[-1] - start + 1) / len(known)
    met = known[min(enough, len(known)) - 1]
    end = met if step else min(known[-1], start + ceil(2 * rows / sample.scale))
    top, bottom = (
        sample.newer(_block_start(before) + BLOCK),
        sample.newer(_block_start(sample.listings[end].created_at)),
    )
    ahead = max(rows, (known[0] - start) * sample.scale)
    walk = min(ahead, (end - start) * sample.scale) * WALK_US
    if walk < min(_index_cost(sample, wanted, top, bottom), budget):
        end = min(end, start + ceil(3 * ahead / sample.scale))
        return Stretch(_until(sample, end, before), Way.WALK, walk)
    return _by_index(sample, wanted, end, before, budget if step else min(budget, FIRST_US))


def all_by_words(run: Run) -> Stretch:
    """All the time that is left at once: what a rare word needs."""
    return Stretch(OLDEST, Way.WORDS, FIXED_US + HOLDER_US * run.holders)


def short_walk(sample: Sample, before: datetime) -> Stretch:
    """A bounded look for words without a trigram; the next page goes on from its end."""
    end = sample.newer(before) + ceil(WALK_ROWS / sample.scale)
    return Stretch(_until(sample, end, before), Way.WALK, BUDGET_US)


def way_in_order(sample: Sample, wanted: Pattern, run: Run | None, hits: Sequence[int], need: int) -> Way:
    """For a list that is not sorted by time: to walk in its order until enough hits are met, or to find all first."""
    costs = {
        Way.WALK: need * len(sample) / max(len(hits), 1) * WALK_US * (1 if hits else sample.scale),
        Way.TRIGRAMS: _index_cost(sample, wanted, 0, len(sample)),
    }
    if run is not None:
        costs[Way.WORDS] = all_by_words(run).cost
    return min(costs, key=lambda way: costs[way])


def labels(newest: datetime, oldest: datetime) -> list[int]:
    """The fewest labels that cover the blocks from one moment back to another: whole runs of eight go by theirs."""
    first, last = max(0, _block(oldest)), _block(newest)
    found = []
    while first <= last:
        if first % COARSE == 0 and first + COARSE - 1 <= last:
            found.append(first // COARSE + OF_COARSE)
            first += COARSE
        else:
            found.append(first)
            first += 1
    return found


def _by_index(sample: Sample, wanted: Pattern, end: int, before: datetime, budget: float) -> Stretch:
    """By the index down to the sample's place `end`, or less far where that would cost too much."""
    top, least = sample.newer(_block_start(before) + BLOCK), sample.older(before)
    while (cost := _index_cost(sample, wanted, top, end)) > budget and end > least:
        end = max(least, top + (end - top) * 3 // 4)
    return Stretch(_until(sample, end, before), Way.TRIGRAMS, cost)


def _until(sample: Sample, end: int, before: datetime) -> datetime:
    """The moment at a place of the sample, or one that is older: a stretch is never empty."""
    end = max(end, sample.older(before))
    return sample.listings[end].created_at if end < len(sample) else OLDEST


def _index_cost(sample: Sample, wanted: Pattern, top: int, end: int) -> float:
    """For the trigram index, from one place of the sample down to another."""
    if end <= top:
        return FIXED_US
    candidates = (wanted.candidates >> top & (1 << end - top) - 1).bit_count()
    return FIXED_US + sample.scale * (KEY_US * wanted.trigrams * (end - top) + HIT_US * candidates)


def _block_start(moment: datetime) -> datetime:
    return EPOCH + _block(moment) * BLOCK


def _block(moment: datetime) -> int:
    """The number of the 32-day block that holds the moment, as the index counts."""
    return (moment - EPOCH) // BLOCK
