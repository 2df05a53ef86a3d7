"""What is imported when it is first called for and not before: parts that cost much to import, and that few need."""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


def by_name(place: str) -> Callable[..., Any]:
    """What stands at `module:name`, to be called."""

    def call(*arguments: Any, **given: Any) -> Any:
        return resolve_name(place)(*arguments, **given)

    return call


class ByName(Generic[T]):
    """A dataclass's field that is given as it is, or as the `module:name` where it is found when it is first read."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, holder: None, _owner: type) -> Self: ...

    @overload
    def __get__(self, holder: object, _owner: type) -> T: ...

    def __get__(self, holder: object | None, _owner: type) -> Self | T:
        if holder is None:
            raise AttributeError(self._name)  # the field has no default
        given = holder.__dict__[self._name]
        if isinstance(given, str):
            given = holder.__dict__[self._name] = resolve_name(given)
        found: T = given
        return found

    def __set__(self, holder: object, given: T | str) -> None:
        holder.__dict__[self._name] = given
