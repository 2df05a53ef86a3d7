"""An entry as Redis keeps it, what it is called there, and what becomes of an attempt to load it for everybody."""

import hashlib
from enum import Enum

import msgspec

from entrepot.kernel.work.outbox import Snapshot


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """An entry as Redis keeps it."""

    snapshot: Snapshot
    """What was committed, at least, when its answer began to be asked for."""
    deadline: float
    """Until when it may be served, by the database's clock."""
    place: int
    """Nothing in it was committed later than at this place of the log; 0 where nobody asked."""
    shows: int
    """Everything that was committed earlier than at this place is in it; 0 where that is not known."""
    body: bytes


class Lock(Enum):
    """What became of an attempt to be the one who loads."""

    MINE = "mine"
    ANOTHERS = "another's"
    UNKNOWN = "Redis does not say"


def name_of(world: str, key: bytes) -> str:
    """The name that an entry has in Redis. Another world's entries are others."""
    return f"entrepot:{world}:{hashlib.sha256(key).hexdigest()}"
