"""Pages by keyset: a cursor names the last row of a page by what the list is sorted by and its id, or its wallet."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import Value

K = TypeVar("K")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


class PageCursor(Value, str):
    """Where a page ended. Whoever calls hands back what `next_cursor` held and needs to know nothing of it."""

    __slots__ = ()
    form: ClassVar[re.Pattern[str]]
    schema: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 100, "description": "next_cursor of a page"}

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str) or cls.form.fullmatch(given) is None:
            raise ValueError("must be the next_cursor of an earlier page")
        return cls(given)


class Cursor(PageCursor):
    """The cursor of a list of things that have ids, sorted by `sort`."""

    __slots__ = ()
    form = re.compile(r"[a-z_]{1,20}~[0-9A-Z.:-]{1,40}~[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

    def place(self, sort: str, read: Callable[[str], K]) -> tuple[K, UUID]:
        """The last row's key and id; refuses the cursor of a list that is sorted otherwise."""
        was, key, last = self.split("~")
        try:
            if was == sort:
                return read(key), UUID(last)
        except ValueError:
            pass
        raise Malformed("cursor", f"is not of a list sorted by {sort}")


class WalletCursor(PageCursor):
    """The cursor of a list of wallets, the newest first."""

    __slots__ = ()
    form = re.compile(r"newest~[0-9T:.-]{19,26}Z~0x[0-9a-fA-F]{40}")

    @classmethod
    def after(cls, at: datetime, wallet: str) -> Self:
        """That of a page whose last wallet this is, of that moment."""
        return cls(f"newest~{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z~{wallet}")

    @property
    def place(self) -> tuple[datetime, str]:
        """The last wallet's moment, and the wallet; raises `Malformed`."""
        _, key, wallet = self.split("~")
        try:
            return moment(key), wallet
        except ValueError as wrong:
            raise Malformed("cursor", str(wrong)) from None


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
