"""The near tier: entries in the process, as many as fit into some bytes, those used last."""

from collections import OrderedDict
from dataclasses import dataclass

from entrepot.kernel.db.causal import Bookmark

OVERHEAD = 600
"""What an entry costs beside its key and its body, about."""


@dataclass(slots=True)
class Entry:
    """An answer and until when it holds. Times are seconds of the process's clock."""

    body: bytes
    tags: tuple[str, ...]
    stamp: int
    """How many busts this process knew when it began to get it."""
    ends: float
    renew_at: float
    """From then on one caller has it renewed while it is served."""
    deadline: float
    """`ends` by the database's clock, which all processes know."""
    place: Bookmark | None
    """Nothing in it was committed later than this; None where there are no replicas, and nobody asks."""
    shows: Bookmark | None
    """Everything that was committed earlier than this is in it; None where that is not known, as on the primary."""

    def suffices(self, brought: Bookmark) -> bool:
        """Whether it shows, by itself, all that a caller with this bookmark has seen."""
        shows = self.shows
        return shows is not None and shows.line == brought.line and shows.lsn >= brought.lsn


class Near:
    """At most `most` bytes of entries."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """The entry, which is now the one used last."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """In the place of what was there; those used longest ago go for it."""
        self.drop(key)
        size = _size(key, entry)
        if size > self.most:
            return
        self._entries[key] = entry
        self.bytes += size
        while self.bytes > self.most:
            gone = self._entries.popitem(last=False)
            self.bytes -= _size(*gone)

    def drop(self, key: bytes) -> None:
        """Takes it out, where it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= _size(key, entry)

    def clear(self) -> None:
        """Takes out everything."""
        self._entries.clear()
        self.bytes = 0


def _size(key: bytes, entry: Entry) -> int:
    return len(key) + len(entry.body) + OVERHEAD
