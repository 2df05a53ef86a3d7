"""The search by words among what can be bought: honest pages of it, whatever the words are and however common."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.products import ListProducts, ProductSort
from entrepot.apps.escrow.search.pattern import Pattern, Run, rarest_run, thinned
from entrepot.apps.escrow.search.plan import (
    BUDGET_US,
    FIXED_US,
    OLDEST,
    SURE,
    Stretch,
    Way,
    all_by_words,
    labels,
    next_stretch,
    short_walk,
    way_in_order,
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
    """What is asked, and what the sample says to it; `words` are those that hold `run`, once they are known."""

    ask: ListProducts
    sample: Sample
    pattern: Pattern
    run: Run | None
    hits: list[int]
    filters: dict[str, Any]
    words: list[str] | None = None


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
    run = rarest_run(words, sample)
    question = Question(ask, sample, thinned(words, sample), run, sample.hits(ask), filters)
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
        if stretch.way is Way.WORDS:
            question = await _with_words(db, question)
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
    """The cheaper of the next stretch and all that is left by whole words, which makes an end."""
    if not trigrams(question.ask.q or ""):
        return short_walk(question.sample, before)
    stretch = next_stretch(question.sample, question.pattern, question.hits, before, need, step, budget)
    if question.run is not None and (rest := all_by_words(question.run)).cost < SURE * stretch.cost:
        return rest
    return stretch


async def _with_words(db: Read, question: Question) -> Question:
    """With the words that hold the run, or without the run where they are too many."""
    if question.run is None or question.words is not None:
        return question
    words = await store.words_with(db, question.run.text)
    return replace(question, words=words, run=question.run if words is not None else None)


async def _read(db: Read, question: Question, stretch: Stretch, before: datetime, last: UUID, need: int) -> Found:
    sample, names = question.sample, tuple(question.filters)
    given: dict[str, Any] = {**question.filters, "limit": need, "whole": question.pattern.whole}
    if stretch.way is Way.WALK:
        query = store.walk(names)
    elif stretch.way is Way.WORDS:
        query = store.by_words(names)
        given["words"] = question.words
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
    way = _way_in_order(question)
    if way is Way.WORDS:
        question = await _with_words(db, question)
        way = _way_in_order(question)
    ask, pattern = question.ask, question.pattern
    given: dict[str, Any] = {**question.filters, "limit": ask.limit, "whole": pattern.whole}
    if way is Way.TRIGRAMS:
        given["thin"] = pattern.thin
    elif way is Way.WORDS:
        given["words"] = question.words
    if ask.cursor is not None:
        given["key"], given["id"] = ask.cursor.place(ask.sort, catalogue.SORTINGS[ask.sort].read)
    later = ask.cursor is not None
    query = store.in_order(ask.sort, tuple(question.filters), way, later=later)
    return await store.ordered(db, query, given)


def _way_in_order(question: Question) -> Way:
    return way_in_order(question.sample, question.pattern, question.run, question.hits, question.ask.limit)


def _page(parts: list[bytes], cursor: str | None) -> Json:
    return Json(b'{"items":[' + b",".join(parts) + b'],"next_cursor":' + msgspec.json.encode(cursor) + b"}")
