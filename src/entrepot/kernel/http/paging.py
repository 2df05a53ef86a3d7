"""Pages by keyset: a cursor names the last row of a page by what the list is sorted by and its id."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import Value

K = TypeVar("K")
FORM = re.compile(
    r"(?P<sort>[a-z_]{1,20})~(?P<key>[0-9A-Z.:-]{1,40})~(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


class Cursor(Value, str):
    """Where a page ended. Whoever calls hands back what `next_cursor` held and needs to know nothing of it."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 100, "description": "next_cursor of a page"}

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str) or FORM.fullmatch(given) is None:
            raise ValueError("must be the next_cursor of an earlier page")
        return cls(given)

    def place(self, sort: str, read: Callable[[str], K]) -> tuple[K, UUID]:
        """The last row's key and id; refuses the cursor of a list that is sorted otherwise."""
        was, key, last = self.split("~")
        try:
            if was == sort:
                return read(key), UUID(last)
        except ValueError:
            pass
        raise Malformed("cursor", f"is not of a list sorted by {sort}")


def moment(key: str) -> datetime:
    """The key of a list that is sorted by time; raises ValueError."""
    if MOMENT.fullmatch(key) is None:
        raise ValueError("is no moment in UTC")
    return datetime.fromisoformat(key)


def count(key: str) -> int:
    """The key of a list that is sorted by a PostgreSQL integer; raises ValueError."""
    if len(key) > 10 or not key.isdecimal() or int(key) >= 2**31:
        raise ValueError("is no count")
    return int(key)
