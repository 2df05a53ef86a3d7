"""The application's own statements, which the bare function and pgbench read by too; $1 is the limit of a page."""

from entrepot.apps.escrow.calls.products import ProductSort
from entrepot.apps.escrow.store import catalogue, products
from entrepot.kernel.db.query import Query

PRODUCT_QUERY = products.DETAIL
FIRST_QUERY = catalogue.listing(ProductSort.NEWEST, (), later=False)
LATER_QUERY = catalogue.listing(ProductSort.NEWEST, (), later=True)


def in_order(query: Query, *names: str) -> str:
    """The statement, once its parameters are known to be these, in this order."""
    if query.names != names:
        raise ValueError(f"{query!r} takes {query.names}, not {names}")
    return query.sql


PRODUCT = in_order(PRODUCT_QUERY, "id")
FIRST_PAGE = in_order(FIRST_QUERY, "limit")
LATER_PAGE = in_order(LATER_QUERY, "limit", "key", "id")
