"""What the trigram index is asked for: a few of the words' trigrams, since each of them costs.

Every text with the words matches the thinned pattern too; the words themselves are checked afterwards.
"""

import re
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import and_

from entrepot.apps.escrow.search.sample import Sample, trigrams

HIT_US, KEY_US = 4.0, 0.002
"""CPU for a candidate that is fetched and checked, and for one trigram over each row that it is looked up for."""
RUN = re.compile("[0-9A-Za-z]{3,}")


@dataclass(frozen=True)
class Pattern:
    """The words for ILIKE, whole and thinned; `candidates` of the sample match the thinned one, as bits."""

    whole: str
    thin: str
    trigrams: int
    candidates: int


def containing(words: str) -> str:
    """The pattern of ILIKE for text that holds the words as they stand."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", words) + "%"


@dataclass(frozen=True)
class Run:
    """Letters and digits in a row that the words hold, and about how many listings hold them at the most."""

    text: str
    holders: float


def rarest_run(words: str, sample: Sample) -> Run | None:
    """The run of the words that the fewest of the sample hold, and the longest of those; None where none is usable.

    Only plain letters are looked at, and no run counts that might go on in letters of another kind.
    """
    if not words.isascii():
        return None
    runs = [Run(text, (sample.holders(text.lower()) + 1) * sample.scale) for text in RUN.findall(words)]
    return min(runs, key=lambda run: (run.holders, -len(run.text)), default=None)


def thinned(words: str, sample: Sample) -> Pattern:
    """Takes one more trigram as long as that promises less work."""
    low, whole, everything = words.lower(), containing(words), (1 << len(sample)) - 1
    # The case of other letters is PostgreSQL's own affair, so only plain ones are taken apart.
    usable = [n for n in range(len(low) - 2) if low[n : n + 3].isalnum()] if words.isascii() else []
    masks = {n: sample.masks.get(low[n : n + 3], 0) for n in usable}
    share = {n: (mask.bit_count() + 0.5) / (len(sample) + 1) for n, mask in masks.items()}
    chosen: frozenset[int] = frozenset()
    left, cost = everything, float("inf")
    while True:
        trials = []
        for place in set(usable) - chosen:
            trial = _joined(chosen | {place})
            rest = reduce(and_, (masks.get(n, everything) for n in trial), left)
            # The trial that the sample likes best is liked too well: it may not promise less than its parts do.
            met = max(rest.bit_count(), len(sample) * prod(share.get(n, 1.0) for n in trial))
            price = KEY_US * sample.rows * len(trial) + met * sample.scale * HIT_US
            trials.append((price, sorted(trial), rest))
        if not trials or (best := min(trials))[0] >= cost:
            break
        cost, chosen, left = best[0], frozenset(best[1]), best[2]
    if not chosen:
        wanted = trigrams(low)
        return Pattern(whole, whole, max(1, len(wanted)), sample.holding(wanted))
    return Pattern(whole, "%" + "%".join(_pieces(words, chosen)) + "%", len(chosen), left)


def _joined(chosen: frozenset[int]) -> frozenset[int]:
    """The places with those between two that overlap: a piece of the pattern holds all its trigrams."""
    return chosen | {n + 1 for n in chosen if n + 2 in chosen}


def _pieces(words: str, chosen: frozenset[int]) -> list[str]:
    """The parts of the words that the trigrams at these places cover, in order; they are letters and digits only."""
    spans: list[tuple[int, int]] = []
    for place in sorted(chosen):
        if spans and place < spans[-1][1]:
            spans[-1] = (spans[-1][0], place + 3)
        else:
            spans.append((place, place + 3))
    return [words[first:last] for first, last in spans]
