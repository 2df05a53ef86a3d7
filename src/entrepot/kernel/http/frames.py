"""What every live stream has in common: the cursor, what is asked, what is followed, and the house's own frames."""

from typing import Any, ClassVar, Self

import msgspec

from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import Value
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import Place

MOST = 8_000


class LiveCursor(Value, str):
    """How far a stream was read. Whoever reads hands back the last one and needs to know nothing of it."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": MOST, "description": "cursor of a frame"}

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str) or len(given) > MOST:
            raise ValueError("must be the cursor of an earlier frame")
        try:
            _ = cls(given).place
        except ValueError:
            raise ValueError("must be the cursor of an earlier frame") from None
        return cls(given)

    @classmethod
    def of(cls, history: str, place: Place) -> Self:
        """A place in a history of the database."""
        return cls(f"{history}.{place}")

    @property
    def history(self) -> str:
        """In which history it is; empty where it tells none."""
        return self.rpartition(".")[0]

    @property
    def place(self) -> Place:
        """The place there."""
        return Place.parse(self.rpartition(".")[2])


class Watch(Ask, frozen=True):
    """All that is the caller's own. After `after`, nothing is missed and nothing told twice; without, it begins now."""

    by: Wallet
    after: LiveCursor | None = None


class Subscription(msgspec.Struct, frozen=True):
    """What of the outbox a stream carries: some topics, and of these only what is about one thing where it is named."""

    topics: tuple[str, ...]
    """Its own, which it follows until it ends. Letters to these, and no others, open and close further ones."""
    about: str | None = None
    joined: frozenset[str] = frozenset()
    """Further topics, as they are at this moment. What opens or closes one while the operation reads is found later."""


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What is sent. A reader that comes back with this cursor is told everything that came after this frame."""

    cursor: LiveCursor


class Ready(Frame, frozen=True, tag="ready"):
    """The first frame: from here on nothing is missed. Read the present state after it, and not before."""


class Beat(Frame, frozen=True, tag="beat"):
    """Nothing has happened, and the connection stands."""


class StartOver(Frame, frozen=True, tag="start_over"):
    """What came after the given cursor is no longer kept: read the present state anew. The stream goes on from here."""


class RefusedFrame(msgspec.Struct, frozen=True, tag_field="kind", tag="refused"):
    """The last frame before a close by refusal, whose code is 4000 and the status. `problem` is what HTTP answers."""

    problem: msgspec.Raw


class ReplyFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="reply"):
    """What came of a call over the stream, with the status that HTTP has for it. It has no cursor."""

    ref: str | None
    """That of the call; null where none could be read."""
    status: int
    answer: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """What HTTP answers, where it answers anything."""
    problem: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """What HTTP answers to what is refused."""
    bookmark: str | msgspec.UnsetType = msgspec.UNSET
    """Where there are replicas: the `Entrepot-Bookmark` to bring to HTTP."""


OF_THE_HOUSE = (Ready, Beat, StartOver, RefusedFrame)
