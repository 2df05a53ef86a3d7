"""What the command line hands to an app's own commands: a way into the house, which only it knows how to open."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class InHouse(Protocol):
    """The `obj` of a command's `typer.Context`."""

    def __call__(self, work: Callable[..., Coroutine[Any, Any, T]], **given: Any) -> T:
        """Runs it on this release's database and answers what it answers.

        What is not given is filled from the house by the parameters' types, as an operation's are.
        """
        ...
