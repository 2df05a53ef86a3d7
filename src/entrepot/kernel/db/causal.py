"""Bookmarks: how far in the database's history a caller has seen, so that no replica shows it an earlier moment."""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

LIFETIME = 60
"""Seconds that a bookmark is of use: a replica further behind than five is read by nobody, whatever it has seen."""
SEAL_BYTES = 16


class Bookmark(NamedTuple):
    """A place in the write-ahead log. Places on different timelines, or of different systems, are not comparable."""

    system: int
    timeline: int
    lsn: int

    @property
    def line(self) -> tuple[int, int]:
        """What two bookmarks must have in common to be compared."""
        return self.system, self.timeline


UNKNOWN = Bookmark(0, 0, 0)
"""On no line that there is: whoever brings it is served by the primary, which then tells a true one."""


class Bookmarks:
    """Signs bookmarks, so that a caller brings only what it was given. `keys`: the last signs, any is taken."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def seal(self, bookmark: Bookmark) -> str:
        """As it travels: three numbers in hexadecimal digits, and the signature."""
        text = f"{bookmark.system:x}-{bookmark.timeline:x}-{bookmark.lsn:x}"
        return f"{text}-{signature(self._keys[-1], text)}"

    def open(self, token: str) -> Bookmark:
        """The bookmark; `UNKNOWN` where it is not ours, so that a lost key costs speed and never an own write."""
        text, _, signed = token[:100].rpartition("-")
        if not any(hmac.compare_digest(signature(key, text), signed) for key in self._keys):
            return UNKNOWN
        return place(text)


def signature(key: bytes, text: str) -> str:
    """HMAC-SHA256, cut to 128 bits, in base 32, which has no dash."""
    digest = hmac.digest(key, text.encode("latin-1", "replace"), "sha256")
    return base64.b32encode(digest[:SEAL_BYTES]).decode().rstrip("=").lower()


def place(token: str) -> Bookmark:
    """What a token says, whoever signed it; `UNKNOWN` where it is none."""
    try:
        system, timeline, lsn = (int(part, 16) for part in token.split("-")[:3])
    except ValueError:
        return UNKNOWN
    return Bookmark(system, timeline, lsn)


def later(known: str, told: str) -> str:
    """Of two tokens the one to bring next time: the further one, and the one told last where they do not compare."""
    before, now = place(known), place(told)
    return known if known and before.line == now.line and before.lsn > now.lsn else told


@dataclass(slots=True)
class Progress:
    """How far the caller of one request has seen: what it brought, and what it is to bring next time."""

    brought: Bookmark | None = None
    reached: Bookmark | None = None
    uses_primary: bool = False
    """Whether something was read or written there whose place is yet to be asked for."""

    def reach(self, bookmark: Bookmark) -> None:
        """It has now seen this too."""
        known = self.reached or self.brought
        is_behind = known is not None and known.line == bookmark.line and known.lsn > bookmark.lsn
        self.reached = known if is_behind else bookmark
