"""A refusal is a class with facts: its docstring is the message, its fields are the facts.

Operations raise them; only `kernel/http/problem.py` knows which status code a kind has.
"""

import re
from dataclasses import dataclass, fields
from typing import Any, dataclass_transform


@dataclass_transform(eq_default=False)
class Refusal(Exception):
    """The request was refused."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # eq=False keeps identity hashing, which the interpreter needs to print chained exceptions.
        dataclass(eq=False)(cls)

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of this refusal, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @property
    def message(self) -> str:
        """The docstring with the facts filled in."""
        return " ".join((type(self).__doc__ or "").split()).format(**self.facts)

    def __str__(self) -> str:
        return self.message


def slug(kind: type[Refusal]) -> str:
    """The stable machine-readable name of a kind of refusal: `NotYourOrder` is `not-your-order`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


class Unauthenticated(Refusal):
    """Sign in first: this call needs a session."""


class Forbidden(Refusal):
    """You may not do this."""


class NotFound(Refusal):
    """There is no such thing here, or it is not yours to see."""


class Conflict(Refusal):
    """The request contradicts the present state."""


class WrongState(Conflict):
    """It is {state} and does not take {event}; it would have to be {expected}."""

    state: str
    event: str
    expected: str


class Malformed(Refusal):
    """{field}: {reason}"""

    field: str
    reason: str


class TooMany(Refusal):
    """Too many requests; try again in {retry_after} seconds."""

    retry_after: int


class Unavailable(Refusal):
    """A part that this call needs does not answer: {part}. Nothing was changed; try again."""

    part: str


class CommitUnknown(Unavailable):
    """The {part} was lost while the change was made: see whether it took place, or repeat it with the same key."""
