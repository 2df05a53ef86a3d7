"""What a function asks of the house, by the types of its parameters: the same for operations, tasks and services."""

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

Resources = Mapping[type, object]


class NotInHouse(LookupError):
    """A function names a type that the house has nothing of."""

    def __init__(self, parameter: str, kind: object) -> None:
        self.parameter, self.kind = parameter, kind
        super().__init__(f"{parameter}: {getattr(kind, '__name__', kind)}")


def wants(function: Callable[..., Any]) -> dict[str, type]:
    """The types of its parameters, by name."""
    hints = get_type_hints(function)
    hints.pop("return", None)
    return hints


def supply(wanted: Mapping[str, type], resources: Resources) -> dict[str, object]:
    """The arguments by parameter name; raises `NotInHouse`."""
    found: dict[str, object] = {}
    for name, kind in wanted.items():
        if kind not in resources:
            raise NotInHouse(name, kind)
        found[name] = resources[kind]
    return found
