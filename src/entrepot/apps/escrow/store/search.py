"""SQL of the search by words: the ways to read a stretch of time, and those to read a list in another order."""

from datetime import datetime, timedelta
from functools import cache
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.products import ProductSort
from entrepot.apps.escrow.search.plan import Way
from entrepot.apps.escrow.search.sample import Sample, Sampled
from entrepot.apps.escrow.store.catalogue import CARD, FILTERS, OPEN, SORTINGS
from entrepot.kernel.db.answers import page
from entrepot.kernel.db.doors import Json, Read
from entrepot.kernel.db.query import Query

SAMPLE_ROWS = 4_000
SAMPLE_LASTS = timedelta(minutes=10)

TEXT = "(p.title_preview || ' ' || p.description_preview)"
# The same in a form that is not the index's, so that the trigram index is left alone.
PLAIN_TEXT = "concat_ws(' ', p.title_preview, p.description_preview)"
DAY = "((p.created_at AT TIME ZONE 'UTC')::date - DATE '2000-01-01')"
LABELS = f"ARRAY[{DAY} / 32, {DAY} / 256 + 1000000]"
ACTIVE = "p.status = 'active' AND p.deleted_at IS NULL"
SELLER = "JOIN escrow.user_profiles u ON u.wallet = p.seller_wallet"
NOT_BANNED = "p.seller_wallet NOT IN (SELECT wallet FROM escrow.user_profiles WHERE is_blacklisted)"

STRETCH = "(p.created_at, p.id) < (:key::timestamptz, :id::uuid) AND p.created_at >= :until::timestamptz"
# The same stretch in a form that no index serves: a generic plan would take the newest-first index for it.
WITHIN = """(p.created_at - :key::timestamptz < interval '0'
        OR p.created_at - :key::timestamptz = interval '0' AND p.id < :id::uuid)
    AND p.created_at - :until::timestamptz >= interval '0'"""
BY_INDEX = f"{ACTIVE} AND {TEXT} ILIKE :thin::text AND (:thin::text = :whole::text OR {PLAIN_TEXT} ILIKE :whole::text)"
BY_WORDS = f"{ACTIVE} AND escrow.words_of{TEXT} && :words::text[] AND {PLAIN_TEXT} ILIKE :whole::text"
# A sum is no column, so no index in this order tempts the planner away from the trigrams.
BEYOND = {
    ProductSort.PRICE: "(p.price_usdt + 0, p.id) > (:key::numeric, :id::uuid)",
    ProductSort.PRICE_DESC: "(p.price_usdt + 0, p.id) < (:key::numeric, :id::uuid)",
    ProductSort.BEST_SELLING: "(p.total_sold + 0, p.id) < (:key::integer, :id::uuid)",
}

SIZE = Query("""
    SELECT pages, CASE WHEN reltuples > 0 THEN reltuples ELSE pages * 12 END AS rows FROM (
        SELECT greatest(pg_relation_size(oid) / 8192, 1)::float8 AS pages, reltuples::float8 AS reltuples
        FROM pg_class WHERE oid = 'escrow.products'::regclass
    ) size
""")
SAMPLE = Query("""
    SELECT created_at, lower(title_preview || ' ' || description_preview) AS text, category, price_usdt
    FROM escrow.products TABLESAMPLE SYSTEM (:percent::float8)
    WHERE status = 'active' AND deleted_at IS NULL AND random() < :share::float8 ORDER BY created_at DESC
""")
MOST_WORDS = 50
WORDS = Query("SELECT word FROM escrow.words WHERE word LIKE '%' || lower(:run::text) || '%' LIMIT :most::bigint")


class Found(msgspec.Struct, frozen=True):
    """What a stretch held: how many, their JSON without the brackets, and the place of the last of a full page."""

    count: int
    items: bytes
    last_at: str | None
    last_id: UUID | None


class Samples:
    """The sample at hand, taken anew every ten minutes by whoever asks first; the others go by the old one."""

    def __init__(self, rows: int = SAMPLE_ROWS) -> None:
        self.wanted = rows
        self._sample: Sample | None = None
        self._due = 0.0

    async def at_hand(self, db: Read) -> Sample:
        """A sample of at most ten minutes and the time that the next takes."""
        if self._sample is not None and monotonic() < self._due:
            return self._sample
        self._due = monotonic() + SAMPLE_LASTS.total_seconds()
        self._sample = await sample(db, self.wanted)
        return self._sample


async def sample(db: Read, wanted: int) -> Sample:
    """About that many rows spread over as many pages, so that neighbours do not count for much."""
    size = (await db.rows(SIZE))[0]
    part = min(1.0, wanted / size["pages"])
    share = min(1.0, wanted / (size["rows"] * part))
    return Sample(1 / (part * share), await db.all(Sampled, SAMPLE, percent=part * 100, share=share))


@cache
def walk(filters: tuple[str, ...]) -> Query:
    """The statement for a stretch that is read newest first, every row of it."""
    conditions = " AND ".join([OPEN, STRETCH, f"{PLAIN_TEXT} ILIKE :whole::text", *(FILTERS[name] for name in filters)])
    return _stretch(f"SELECT {CARD} FROM escrow.products p {SELLER} WHERE {conditions}", "")


@cache
def by_index(filters: tuple[str, ...], *, blocks: bool) -> Query:
    """The statement for a stretch that is read by the trigram index, in some blocks of time or in all."""
    conditions = [BY_INDEX, *([f"{LABELS} && :labels::integer[]"] if blocks else []), WITHIN, NOT_BANNED]
    conditions += [FILTERS[name] for name in filters]
    hits = _hits("p.id, p.created_at", " AND ".join(conditions), "created_at DESC, id DESC")
    return _stretch(f"SELECT {CARD} FROM first f JOIN escrow.products p ON p.id = f.id {SELLER}", hits)


@cache
def by_words(filters: tuple[str, ...]) -> Query:
    """The statement for a stretch that is read by the index of whole words."""
    conditions = " AND ".join([BY_WORDS, WITHIN, NOT_BANNED, *(FILTERS[name] for name in filters)])
    hits = _hits("p.id, p.created_at", conditions, "created_at DESC, id DESC")
    return _stretch(f"SELECT {CARD} FROM first f JOIN escrow.products p ON p.id = f.id {SELLER}", hits)


@cache
def in_order(sort: ProductSort, filters: tuple[str, ...], way: Way, *, later: bool) -> Query:
    """The statement for a page in another order than newest first."""
    sorting = SORTINGS[sort]
    given = [FILTERS[name] for name in filters]
    if way is Way.WALK:
        conditions = [OPEN, f"{PLAIN_TEXT} ILIKE :whole::text", *given, *([sorting.beyond] if later else [])]
        rows = f"SELECT {CARD} FROM escrow.products p {SELLER} WHERE {' AND '.join(conditions)}"
        return Query(page(f"{rows} ORDER BY {sorting.by} LIMIT :limit::bigint", sort, sorting.key))
    found_by = BY_WORDS if way is Way.WORDS else BY_INDEX
    conditions = [found_by, NOT_BANNED, *given, *([BEYOND[sort]] if later else [])]
    hits = _hits(f"p.id, p.{sorting.key}", " AND ".join(conditions), sorting.by.replace("p.", ""))
    rows = f"SELECT {CARD} FROM first f JOIN escrow.products p ON p.id = f.id {SELLER}"
    return Query(hits + page(f"{rows} ORDER BY {sorting.by} LIMIT :limit::bigint", sort, sorting.key))


def _hits(columns: str, conditions: str, by: str) -> str:
    """All hits are found before any is sorted: the planner expects so few that it would rather walk for them."""
    return f"""WITH hits AS MATERIALIZED (SELECT {columns} FROM escrow.products p WHERE {conditions}),
first AS MATERIALIZED (SELECT id FROM hits ORDER BY {by} LIMIT :limit::bigint)
"""


def _stretch(rows: str, before: str) -> Query:
    return Query(f"""{before}SELECT count(*) AS count, json_agg(page) AS items,
    (array_agg(page.created_at))[:limit::bigint] AS last_at, (array_agg(page.id))[:limit::bigint] AS last_id
FROM ({rows} ORDER BY p.created_at DESC, p.id DESC LIMIT :limit::bigint) page""")


async def stretch(
    db: Read, query: Query, given: dict[str, Any], *, before: datetime, last: UUID, until: datetime
) -> Found:
    """What one stretch of time holds, before that listing and not older than `until`."""
    row = (await db.rows(query, key=before, id=last, until=until, **given))[0]
    items: bytes = (row["items"] or b"[]")[1:-1]
    return Found(row["count"], items, row["last_at"], row["last_id"])


async def words_with(db: Read, run: str) -> list[str] | None:
    """The words of all listings that hold this run of letters; None where they are too many to look for each."""
    found = [str(row["word"]) for row in await db.rows(WORDS, run=run, most=MOST_WORDS + 1)]
    return found if len(found) <= MOST_WORDS else None


async def ordered(db: Read, query: Query, given: dict[str, Any]) -> Json:
    """A page in another order."""
    found = await db.json(query, **given)
    assert found is not None, "an aggregate answers with a row"
    return found
