"""Draft of the search by trigrams, newest first: contiguous stretches of time, each read by its cheaper plan."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from math import ceil
from operator import and_
from uuid import UUID

import asyncpg

from bench.draft_queries import FROM, ITEM, OPEN, PLAIN_TEXT, SELLER, TEXT
from bench.latency import Database

SAMPLE_ROWS = 4_000
STEPS = 6
NEAR = 6
"""How many sampled hits tell the density."""
WALK_US, HIT_US, KEY_US, FIXED_US = 2.2, 4.0, 0.002, 500.0
"""CPU for a row walked, a candidate fetched and checked, a trigram met over each row of the stretch, a statement."""
BUDGET_US = 12_000.0
"""What one request may cost by these figures; a page that would cost more comes short, with a cursor to go on."""
FIRST_US = 3_000.0
"""What the first step may cost when the sample promises hits: near ones are often enough."""
WALK_ROWS = 1_500
"""Most rows that one request reads when the query has no trigram."""
BLOCK, COARSE = timedelta(days=32), 8
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
LOWEST_ID, HIGHEST_ID = UUID(int=0), UUID(int=2**128 - 1)
DAY = "((p.created_at AT TIME ZONE 'UTC')::date - DATE '2000-01-01')"
LABELS = f"ARRAY[{DAY} / 32, {DAY} / 256 + 1000000]"

# Both statements answer one stretch of time: at or after $3, before the cursor ($1, $2); $4 pattern, $5 limit.
PAGE = """
SELECT count(*) AS found, json_agg(page) AS items,
    (array_agg(page.created_at))[$5::bigint] AS last_at, (array_agg(page.id))[$5::bigint] AS last_id
FROM ({inner} ORDER BY p.created_at DESC, p.id DESC LIMIT $5::bigint) page"""
STRETCH = "(p.created_at, p.id) < ($1::timestamptz, $2::uuid) AND p.created_at >= $3::timestamptz"
# The same stretch in a form that no index serves: a generic plan would take the newest-first index for it.
WITHIN = """(p.created_at - $1::timestamptz < interval '0'
            OR p.created_at - $1::timestamptz = interval '0' AND p.id < $2::uuid)
        AND p.created_at - $3::timestamptz >= interval '0'"""
WALK = PAGE.format(inner=f"SELECT {ITEM} FROM {FROM} WHERE {OPEN} AND {STRETCH} AND {PLAIN_TEXT} ILIKE $4::text")


def by_index(*, blocks: bool) -> str:
    """Trigram index by the thinned pattern $6 (and the blocks $7), then the whole pattern, then the page."""
    label = f"AND {LABELS} && $7::integer[]" if blocks else ""
    hits = f"""WITH hits AS MATERIALIZED (SELECT p.id, p.created_at FROM escrow.products p
    WHERE p.status = 'active' AND p.deleted_at IS NULL AND {TEXT} ILIKE $6::text {label}
        AND {WITHIN} AND ($6::text = $4::text OR {PLAIN_TEXT} ILIKE $4::text)
        AND p.seller_wallet NOT IN (SELECT wallet FROM escrow.user_profiles WHERE is_blacklisted)),
first AS MATERIALIZED (SELECT id FROM hits ORDER BY created_at DESC, id DESC LIMIT $5::bigint)"""
    return hits + PAGE.format(inner=f"SELECT {ITEM} FROM first f JOIN escrow.products p ON p.id = f.id {SELLER}")


INDEX, INDEX_BLOCKS = by_index(blocks=False), by_index(blocks=True)

SAMPLE = """
SELECT created_at, lower(title_preview || ' ' || description_preview) AS text
FROM escrow.products TABLESAMPLE SYSTEM ($1)
WHERE status = 'active' AND deleted_at IS NULL AND random() < $2 ORDER BY created_at DESC"""
SIZE = """
SELECT greatest(relpages, 1) AS pages, greatest(reltuples, 1) AS rows
FROM pg_class WHERE oid = 'escrow.products'::regclass"""
OLDEST_ROW = "SELECT min(created_at) FROM escrow.products WHERE status = 'active'"


def trigrams(text: str) -> list[str]:
    """The trigrams in the text's order that the index can hold: letters and digits only."""
    return [text[n : n + 3] for n in range(len(text) - 2) if text[n : n + 3].isalnum()]


@dataclass
class Sample:
    """Some active products, newest first; `scale` is how many rows of the table each one stands for."""

    scale: float
    oldest: datetime
    times: list[datetime]
    texts: list[str]
    keys: list[float] = field(init=False)
    masks: dict[str, int] = field(init=False)
    """For each trigram the set of texts that hold it, as the bits of a number."""

    def __post_init__(self) -> None:
        self.keys = [-moment.timestamp() for moment in self.times]
        places: dict[str, list[int]] = {}
        for n, text in enumerate(self.texts):
            for trigram in set(trigrams(text)):
                places.setdefault(trigram, []).append(n)
        self.masks = {trigram: sum(1 << n for n in found) for trigram, found in places.items()}

    @classmethod
    async def take(cls, connection: Database) -> "Sample":
        """About SAMPLE_ROWS rows spread over that many pages, so that neighbours do not count for many."""
        size = (await connection.fetch(SIZE))[0]
        pages = min(1.0, SAMPLE_ROWS / size["pages"])
        keep = min(1.0, SAMPLE_ROWS / (size["rows"] * pages))
        rows = await connection.fetch(SAMPLE, pages * 100, keep)
        oldest = await connection.fetchval(OLDEST_ROW) or OLDEST
        return cls(1 / (pages * keep), oldest, [row["created_at"] for row in rows], [row["text"] for row in rows])

    def place(self, moment: datetime) -> int:
        """How many of the sample are as new as the moment or newer."""
        return bisect_left(self.keys, -moment.timestamp())

    def holders(self, low: str) -> list[int]:
        """The places of the sampled texts that hold the lowered query, ascending."""
        wanted = trigrams(low)
        if not wanted:
            return [n for n, text in enumerate(self.texts) if low in text]
        mask = reduce(and_, (self.masks.get(trigram, 0) for trigram in wanted))
        found = []
        while mask:
            n = (mask & -mask).bit_length() - 1
            mask &= mask - 1
            if low in self.texts[n]:
                found.append(n)
        return found


def escaped(text: str) -> str:
    """The text with the wildcards of LIKE made plain."""
    return re.sub(r"([\\%_])", r"\\\1", text)


@dataclass(frozen=True)
class Pattern:
    """The query for ILIKE, whole and thinned to a few trigrams; which sampled texts match the thinned one."""

    whole: str
    thin: str
    keys: int
    candidates: int
    """As the bits of a number, the newest text first."""


def pattern(query: str, sample: Sample) -> Pattern:
    """Choose the trigrams that promise the least work: every text that holds the query matches `thin` too."""
    low, whole, everything = query.lower(), f"%{escaped(query)}%", len(sample.texts)
    places = [n for n in range(len(low) - 2) if low[n : n + 3].isalnum()] if query.isascii() else []
    masks = {n: sample.masks.get(low[n : n + 3], 0) for n in places}
    chosen: frozenset[int] = frozenset()
    left, cost, rows = (1 << everything) - 1, float("inf"), everything * sample.scale
    while True:
        trials = []
        for place in set(places) - chosen:
            trial = merged(chosen | {place})
            rest = reduce(and_, (masks.get(n, left) for n in trial), left)
            price = KEY_US * rows * len(trial) + rest.bit_count() * sample.scale * HIT_US
            trials.append((price, sorted(trial), rest))
        if not trials or (best := min(trials))[0] >= cost:
            break
        cost, chosen, left = best[0], frozenset(best[1]), best[2]
    if not chosen:
        found = reduce(and_, (sample.masks.get(t, 0) for t in trigrams(low)), left)
        return Pattern(whole, whole, max(1, len(trigrams(low))), found)
    thin = "%" + "%".join(escaped(piece) for piece in pieces(query, chosen)) + "%"
    return Pattern(whole, thin, len(chosen), left)


def merged(places: frozenset[int]) -> frozenset[int]:
    """The places with those between two that overlap: a piece of the pattern holds all its trigrams."""
    return places | {n + 1 for n in places if n + 2 in places}


def pieces(query: str, places: frozenset[int]) -> list[str]:
    """The parts of the query that the trigrams at these places cover, in order."""
    spans: list[tuple[int, int]] = []
    for place in sorted(places):
        if spans and place < spans[-1][1]:
            spans[-1] = (spans[-1][0], place + 3)
        else:
            spans.append((place, place + 3))
    return [query[first:last] for first, last in spans]


@dataclass(frozen=True)
class Stretch:
    """The next piece of time to read, down to `until`, whether by walking, and what it should cost."""

    until: datetime
    walk: bool
    cost: float


def index_cost(sample: Sample, wanted: Pattern, top: int, end: int) -> float:
    """Microseconds for the trigram index from one place of the sample down to another."""
    if end <= top:
        return FIXED_US
    candidates = (wanted.candidates >> top & (1 << end - top) - 1).bit_count()
    return FIXED_US + sample.scale * (KEY_US * wanted.keys * (end - top) + HIT_US * candidates)


def by_trigram(sample: Sample, wanted: Pattern, end: int, before: datetime, budget: float) -> Stretch:
    """Read by the index down to the sample's place `end`, or less far when that would cost too much."""
    top, least = sample.place(floor(before) + BLOCK), sample.place(before) + 1
    while (cost := index_cost(sample, wanted, top, end)) > budget and end > least:
        end = max(least, top + (end - top) * 3 // 4)
    return Stretch(sample.times[end] if end < len(sample.times) else OLDEST, walk=False, cost=cost)


def plan(
    sample: Sample, wanted: Pattern, hits: Sequence[int], before: datetime, need: int, step: int, budget: float
) -> Stretch:
    """Go as far as the sample promises enough hits, by whichever plan costs less there.

    The first step trusts the density of the next sampled hits; a later one goes on until it has met them.
    """
    start, first = sample.place(before), bisect_left(hits, sample.place(before))
    known = hits[first : first + NEAR]
    enough = min(NEAR, max(2, ceil(2 * need / sample.scale)))
    if not known or (step and len(known) < enough):
        return by_trigram(sample, wanted, len(sample.times), before, budget)
    density = len(known) / (known[-1] - start + 1)
    rows = need / density
    met = known[min(enough, len(known)) - 1]
    end = min(known[-1], start + ceil(2 * rows / sample.scale)) if step == 0 else met
    index = index_cost(sample, wanted, sample.place(floor(before) + BLOCK), sample.place(floor(sample.times[end])))
    ahead = max(rows, (known[0] - start) * sample.scale)
    walk = min(ahead, (end - start) * sample.scale) * WALK_US
    if walk < min(index, budget):
        end = min(end, start + ceil(3 * ahead / sample.scale))
        return Stretch(sample.times[end], walk=True, cost=walk)
    return by_trigram(sample, wanted, end, before, budget if step else min(budget, FIRST_US))


def short_walk(sample: Sample, before: datetime) -> Stretch:
    """A bounded look for what has no trigram; the next page goes on from its end."""
    end = sample.place(before) + ceil(WALK_ROWS / sample.scale)
    return Stretch(sample.times[end] if end < len(sample.times) else OLDEST, walk=True, cost=BUDGET_US)


def floor(moment: datetime) -> datetime:
    """The start of the 32-day block that holds the moment."""
    return EPOCH + block(moment) * BLOCK


def block(moment: datetime) -> int:
    """The number of the 32-day block that holds the moment, as the index counts."""
    return (moment - EPOCH) // BLOCK


def labels(first: int, last: int) -> list[int]:
    """The fewest labels that cover these blocks exactly: whole runs of eight go by their coarse label."""
    found = []
    while first <= last:
        if first % COARSE == 0 and first + COARSE - 1 <= last:
            found.append(first // COARSE + 1_000_000)
            first += COARSE
        else:
            found.append(first)
            first += 1
    return found


@dataclass(frozen=True)
class Page:
    """Items as PostgreSQL made them, and where to go on: None when nothing older is left to read."""

    items: bytes
    found: int
    at: datetime | None
    id: UUID | None
    steps: tuple[str, ...]


async def search(
    connection: Database, sample: Sample, query: str, limit: int, at: datetime | None = None, product: UUID = HIGHEST_ID
) -> Page:
    """The next page of products whose preview holds the query; may be short, never with a gap."""
    hits, wanted = sample.holders(query.lower()), pattern(query, sample)
    at = at or datetime.now(UTC) + timedelta(days=1)
    parts: list[bytes] = []
    found, budget = 0, BUDGET_US
    steps: list[str] = []
    while budget > FIXED_US and len(steps) < STEPS:
        need = limit - found
        if trigrams(query):
            stretch = plan(sample, wanted, hits, at, need, len(steps), budget)
        else:
            stretch = short_walk(sample, at)
        row = await read(connection, sample, wanted, stretch, at, product, need)
        steps.append(f"{'walk' if stretch.walk else 'index'}:{row['found']}")
        budget -= stretch.cost
        if row["found"]:
            parts.append(row["items"][1:-1])
            found += row["found"]
        if found == limit:
            return Page(b",".join(parts), found, row["last_at"], row["last_id"], tuple(steps))
        if stretch.until == OLDEST:
            return Page(b",".join(parts), found, None, None, tuple(steps))
        at, product = stretch.until, LOWEST_ID
    return Page(b",".join(parts), found, at, product, tuple(steps))


async def read(
    connection: Database, sample: Sample, wanted: Pattern, stretch: Stretch, at: datetime, product: UUID, need: int
) -> asyncpg.Record:
    """One statement for one stretch: how many were found, the items, the last one's place."""
    common = (at, product, stretch.until, wanted.whole, need)
    if stretch.walk:
        return (await connection.fetch(WALK, *common))[0]
    if stretch.until == OLDEST and sample.place(at) < len(sample.times) // 4:
        return (await connection.fetch(INDEX, *common, wanted.thin))[0]
    oldest = block(max(stretch.until, sample.oldest))
    newest = min(block(at), block(datetime.now(UTC)))
    return (await connection.fetch(INDEX_BLOCKS, *common, wanted.thin, labels(oldest, newest)))[0]
