"""The made-up language of the sample market: its vocabulary, and search words of planned frequency."""

import random
from dataclasses import dataclass

SYLLABLES = (
    "ra ti on al er in st ma te re co de ni lo sa vi mo pe li ta no ri se ca do me la tor ment ing est ver "
    "per con pro tra ble sion der man sol ten cor mar dis par gen nal tive ance ser port log net dat key"
).split()


@dataclass(frozen=True)
class Planned:
    """A search word (or phrase) that exactly `hits` active products hold; `stale` ones only in the oldest quarter."""

    name: str
    text: str
    hits: int
    stale: bool = False


# Built from the vocabulary's own syllables, so that every trigram of theirs is common and only the whole is rare.
PLANNED = (
    Planned("absent", "tornalverment", 0),
    Planned("absent, odd letters", "zqxwjkv", 0),
    Planned("rare", "mentalogtrasion", 100),
    Planned("middling 1,000", "viperdatloni", 1_000),
    Planned("middling 4,000", "cotensolmarst", 4_000),
    Planned("middling 10,000", "netportgentive", 10_000),
    Planned("common 100,000", "keystanorinest", 100_000),
    Planned("stale 1,000", "parlidosermo", 1_000, stale=True),
    Planned("stale 10,000", "blecorviserta", 10_000, stale=True),
    Planned("stale 100,000", "mardisgenlola", 100_000, stale=True),
    Planned("two words 1,000", "dersolman pernalta", 1_000),
)

TITLE_HEADS = "Fresh Private Verified Complete Weekly Historic Raw Cleaned Curated Signed Annotated Premium".split()
TITLE_NOUNS = "dataset archive licence template script toolkit index guide model feed bundle audit report".split()


def vocabulary(size: int = 4_000, seed: int = 7) -> list[str]:
    """Words of two to four syllables, none of which holds a planned word."""
    rng = random.Random(seed)
    planned = {part for word in PLANNED for part in word.text.split()}
    found: dict[str, None] = {}
    while len(found) < size:
        word = "".join(rng.choices(SYLLABLES, k=rng.randint(2, 4)))
        if not any(part in word for part in planned):
            found[word] = None
    return list(found)


def weights(size: int) -> list[float]:
    """Cumulative Zipf weights (exponent 0.9) for the vocabulary."""
    total, sums = 0.0, []
    for rank in range(1, size + 1):
        total += rank**-0.9
        sums.append(total)
    return sums
