"""What the command line hands to an app's own commands: a way into the house, and words apart from what does them."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from entrepot.kernel.deferred import by_name

P = ParamSpec("P")
T = TypeVar("T")


class InHouse(Protocol):
    """The `obj` of a command's `typer.Context`."""

    def __call__(self, work: Callable[..., Coroutine[Any, Any, T]], **given: Any) -> T:
        """Runs it on this release's database and answers what it answers.

        What is not given is filled from the house by the parameters' types, as an operation's are.
        """
        ...


def done_by(place: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Makes a command of its words alone: its parameters and its help.

    What it does is at `module:function`, which has the same parameters (`tests/conformance/test_startup.py`) and whose
    module is imported when the command runs. So help, completion and a mistyped option cost no import of the house.
    """

    perform = by_name(place)

    def bind(words: Callable[P, None]) -> Callable[P, None]:
        @wraps(words)
        def command(*arguments: P.args, **given: P.kwargs) -> None:
            perform(*arguments, **given)

        command.__dict__["place"] = place
        return command

    return bind
