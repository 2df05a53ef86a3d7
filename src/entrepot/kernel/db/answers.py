"""Fragments of SQL by which PostgreSQL makes answers in the form that msgspec gives them."""


def moment(column: str) -> str:
    """A timestamp as RFC 3339 in UTC, to the microsecond."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def page(rows: str, sort: str, key: str) -> str:
    """The JSON of a page, whose `rows` are a SELECT with an id that ends in LIMIT :limit.

    The cursor holds the last row's `key`, a column of `rows`. A full page has one even where nothing follows it: to
    know that would cost a row more of every page.
    """
    return f"""SELECT json_build_object('items', coalesce(json_agg(page), '[]'::json), 'next_cursor',
    CASE WHEN count(*) = :limit::bigint
        THEN '{sort}~' || (array_agg(page.{key}::text || '~' || page.id))[:limit::bigint] END)
FROM ({rows}) page"""
