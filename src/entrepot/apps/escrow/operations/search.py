"""The search by words among what can be bought: honest pages of it, whatever the words are and however common."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.products import ListProducts, ProductSort
from entrepot.apps.escrow.search.pattern import Pattern, thinned
from entrepot.apps.escrow.search.plan import (
    BUDGET_US,
    FIXED_US,
    OLDEST,
    Stretch,
    labels,
    next_stretch,
    short_walk,
    walking_is_cheaper,
)
from entrepot.apps.escrow.search.sample import Sample, trigrams
from entrepot.apps.escrow.store import catalogue
from entrepot.apps.escrow.store import search as store
from entrepot.apps.escrow.store.search import Found, Samples
from entrepot.kernel import clock
from entrepot.kernel.db.doors import Json, Read
from entrepot.kernel.http import paging
from entrepot.kernel.refusal import Malformed

FEW = 20_000
"""So many listings can be looked through in whatever way the planner likes best."""
STEPS = 6
NONE_ID, TOMORROW = UUID(int=0), timedelta(days=1)
HIGHEST_ID = UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Question:
    """What is asked, and what the sample says to it."""

    ask: ListProducts
    sample: Sample
    pattern: Pattern
    hits: list[int]
    filters: dict[str, Any]


async def products(db: Read, ask: ListProducts, samples: Samples, few: int = FEW) -> Json:
    """A page of what holds the words.

    It may come short, with a cursor to go on, where the words are hard to find; no page sequence leaves a gap.
    """
    words, sample = ask.q or "", await samples.at_hand(db)
    if ask.seller is not None or sample.rows < few:
        return await catalogue.products(db, ask)
    if ask.sort is not ProductSort.NEWEST and not trigrams(words):
        raise Malformed("q", f"needs three letters or digits in a row to be sorted by {ask.sort}")
    filters = {name: value for name in catalogue.BESIDE_WORDS if (value := getattr(ask, name)) is not None}
    question = Question(ask, sample, thinned(words, sample), sample.hits(ask), filters)
    return await (_newest(db, question) if ask.sort is ProductSort.NEWEST else _in_order(db, question))


async def _newest(db: Read, question: Question) -> Json:
    """Stretch after stretch, until the page is full, nothing is left, or the request has cost enough."""
    ask, budget, parts, count = question.ask, BUDGET_US, [], 0
    before, last = clock.now() + TOMORROW, HIGHEST_ID
    if ask.cursor is not None:
        before, last = ask.cursor.place(ask.sort, paging.moment)
    for step in range(STEPS):
        need = ask.limit - count
        stretch = _plan(question, before, need, step, budget)
        found = await _read(db, question, stretch, before, last, need)
        budget -= stretch.cost
        count += found.count
        parts += [found.items] if found.count else []
        if count == ask.limit:
            return _page(parts, f"newest~{found.last_at}~{found.last_id}")
        if stretch.until == OLDEST:
            return _page(parts, None)
        before, last = stretch.until, NONE_ID
        if budget <= FIXED_US:
            break
    return _page(parts, f"newest~{before.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}~{last}")


def _plan(question: Question, before: datetime, need: int, step: int, budget: float) -> Stretch:
    if trigrams(question.ask.q or ""):
        return next_stretch(question.sample, question.pattern, question.hits, before, need, step, budget)
    return short_walk(question.sample, before)


async def _read(db: Read, question: Question, stretch: Stretch, before: datetime, last: UUID, need: int) -> Found:
    sample, names = question.sample, tuple(question.filters)
    given: dict[str, Any] = {**question.filters, "limit": need, "whole": question.pattern.whole}
    if stretch.walk:
        query = store.walk(names)
    elif stretch.until == OLDEST and sample.newer(before) < len(sample) // 4:
        query = store.by_index(names, blocks=False)
        given["thin"] = question.pattern.thin
    else:
        query = store.by_index(names, blocks=True)
        newest = min(before, clock.now() + TOMORROW)
        given |= {"thin": question.pattern.thin, "labels": labels(newest, stretch.until)}
    return await store.stretch(db, query, given, before=before, last=last, until=stretch.until)


async def _in_order(db: Read, question: Question) -> Json:
    """By walking in the list's own order where hits are met soon, or else by finding them all first."""
    ask, pattern = question.ask, question.pattern
    walks = walking_is_cheaper(question.sample, pattern, question.hits, ask.limit)
    given: dict[str, Any] = {**question.filters, "limit": ask.limit, "whole": pattern.whole}
    given |= {} if walks else {"thin": pattern.thin}
    if ask.cursor is not None:
        given["key"], given["id"] = ask.cursor.place(ask.sort, catalogue.SORTINGS[ask.sort].read)
    later = ask.cursor is not None
    query = store.in_order(ask.sort, tuple(question.filters), walks=walks, later=later)
    return await store.ordered(db, query, given)


def _page(parts: list[bytes], cursor: str | None) -> Json:
    return Json(b'{"items":[' + b",".join(parts) + b'],"next_cursor":' + msgspec.json.encode(cursor) + b"}")
