"""The one place that asks what time it is."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def from_unix(seconds: int) -> datetime:
    """The moment that a chain names by its Unix time."""
    return datetime.fromtimestamp(seconds, UTC)
