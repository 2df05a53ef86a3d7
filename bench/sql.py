"""The two statements that the application, the bare function and pgbench all read by."""

from bench import draft_queries

PRODUCT = draft_queries.PRODUCT
FIRST_PAGE = draft_queries.listing()
LATER_PAGE = draft_queries.listing(after=True)
