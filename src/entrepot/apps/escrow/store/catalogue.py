"""SQL of the lists of listings: one statement for each combination of sort and filters, made when it is first used.

A filter that is not asked for is not in the text, so that the planner sees what is asked and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from entrepot.apps.escrow.calls.products import ListProducts, ProductSort
from entrepot.apps.escrow.search.pattern import containing
from entrepot.kernel.db.answers import bounded, moment, page
from entrepot.kernel.db.doors import Json, Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import paging
from entrepot.kernel.money import Amount

CARD = f"""p.id, p.title_preview, p.description_preview, p.category, p.price_usdt::text AS price_usdt, p.stock,
    p.total_sold, {moment("p.created_at")} AS created_at, p.seller_wallet, u.display_name AS seller_display_name,
    u.rating::text AS seller_rating"""
OPEN = "p.status = 'active' AND p.deleted_at IS NULL AND NOT u.is_blacklisted"
FILTERS = {
    "q": "(p.title_preview || ' ' || p.description_preview) ILIKE :q",
    "category": "p.category = :category",
    "min_price": "p.price_usdt >= :min_price",
    "max_price": "p.price_usdt <= :max_price",
    "seller": "p.seller_wallet = :seller",
}
BESIDE_WORDS = ("category", "min_price", "max_price")


@dataclass(frozen=True)
class Sorting:
    """How a list is sorted, where its next page begins, and how a cursor's key is read."""

    by: str
    beyond: str
    key: str
    read: Callable[[str], Any]


NEWEST = Sorting("p.created_at DESC, p.id DESC", "(p.created_at, p.id) < (:key, :id)", "created_at", paging.moment)
SORTINGS = {
    ProductSort.NEWEST: NEWEST,
    ProductSort.PRICE: Sorting("p.price_usdt, p.id", "(p.price_usdt, p.id) > (:key, :id)", "price_usdt", Amount.parse),
    ProductSort.PRICE_DESC: Sorting(
        "p.price_usdt DESC, p.id DESC", "(p.price_usdt, p.id) < (:key, :id)", "price_usdt", Amount.parse
    ),
    ProductSort.BEST_SELLING: Sorting(
        "p.total_sold DESC, p.id DESC", "(p.total_sold, p.id) < (:key, :id)", "total_sold", paging.count
    ),
}


@cache
def listing(sort: ProductSort, filters: tuple[str, ...], *, later: bool) -> Query:
    """The statement for a page: one plan for all where an index has the list's own order.

    Beside that, the best way depends on the values, so that it is planned for each call.
    """
    sorting = SORTINGS[sort]
    conditions = [OPEN, *(FILTERS[name] for name in filters), *([sorting.beyond] if later else [])]
    rows = f"""SELECT {CARD} FROM escrow.products p JOIN escrow.user_profiles u ON u.wallet = p.seller_wallet
    WHERE {" AND ".join(conditions)} ORDER BY {sorting.by}"""
    is_settled = filters in {(), ("category",)} or (filters == ("seller",) and sort is ProductSort.NEWEST)
    return Query(page(bounded(rows) if is_settled else f"{rows} LIMIT :limit::bigint", sort, sorting.key))


async def products(db: Read, ask: ListProducts) -> Json:
    """A page of what can be bought now."""
    given: dict[str, Any] = {name: value for name in FILTERS if (value := getattr(ask, name)) is not None}
    query = listing(ask.sort, tuple(given), later=ask.cursor is not None)
    if "q" in given:
        given["q"] = containing(given["q"])
    if ask.cursor is not None:
        given["key"], given["id"] = ask.cursor.place(ask.sort, SORTINGS[ask.sort].read)
    found = await db.json(query, limit=ask.limit, **given)
    assert found is not None, "an aggregate answers with a row"
    return found
