"""Fragments of SQL by which PostgreSQL makes answers in the form that msgspec gives them."""


def moment(column: str) -> str:
    """A timestamp as RFC 3339 in UTC, to the microsecond."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


MOST_ROWS = 100
"""The longest page that any list gives."""


def bounded(rows: str) -> str:
    """The first :limit of `rows`, a SELECT that ends in ORDER BY, by a plan that serves every limit.

    Of a limit that is a parameter the planner supposes a tenth of all rows, finds that dear, and so plans each call
    anew: 0.2 ms of the 0.5 that a page took. A constant beside it tells how few they are.
    """
    return f"SELECT * FROM ({rows} LIMIT {MOST_ROWS}) few LIMIT :limit::bigint"


def page(rows: str, sort: str, key: str) -> str:
    """The JSON of a page, whose `rows` are a SELECT with an id of at most :limit rows, in order.

    The cursor holds the last row's `key`, a column of `rows`. A full page has one even where nothing follows it: to
    know that would cost a row more of every page.
    """
    return f"""SELECT json_build_object('items', coalesce(json_agg(page), '[]'::json), 'next_cursor',
    CASE WHEN count(*) = :limit::bigint
        THEN '{sort}~' || (array_agg(page.{key}::text || '~' || page.id))[:limit::bigint] END)
FROM ({rows}) page"""
