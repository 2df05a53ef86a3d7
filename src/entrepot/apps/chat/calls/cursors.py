"""Where a page of messages begins: a number and a direction, which a client may also write itself."""

import re
from typing import Any, ClassVar, Self

from entrepot.kernel.values import Value

FORM = re.compile(r"(before|after)~(0|[1-9][0-9]{0,15})")


class SeqCursor(Value, str):
    """`before~120` goes back from message 120, `after~120` on from it."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": f"^{FORM.pattern}$",
        "examples": ["before~120"],
    }

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str) or FORM.fullmatch(given) is None:
            raise ValueError("must be before~ or after~ and the number of a message")
        return cls(given)

    @property
    def is_back(self) -> bool:
        """Whether it goes back in time."""
        return self.startswith("before")

    @property
    def seq(self) -> int:
        """The message that it does not hold itself."""
        return int(self.partition("~")[2])
