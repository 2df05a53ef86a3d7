"""A route binds a method and a path to an operation, and says who may call it and what it may refuse.

Everything else is read from the operation itself: the door it needs, the input struct, the answer, the summary.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from entrepot.kernel.cache.kind import Cached
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Fresh, Json, Read, Write
from entrepot.kernel.http.attendance import Attendance
from entrepot.kernel.refusal import Refusal
from entrepot.kernel.settings import Settings

Operation = Callable[..., Awaitable[Any]]
FROM_SESSION = ("by", "session")


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The input of an operation.

    A field named in the route's path comes from the path; `by` is the wallet that signed in and `session` the hash of
    its token; the rest come from the query string (GET, DELETE) or the JSON body (POST, PATCH).
    """


class Who(StrEnum):
    """Who may call. Whose the thing must be that the call names is told by `Route.of`."""

    ANYONE = "anyone"
    SIGNED_IN = "signed in"
    OPERATOR = "operator"


OWN: tuple[StrEnum, ...] = ()
"""For `Route.of`: the call names nothing that could be another's; what it shows or makes is the caller's."""


class Pace(StrEnum):
    """Which rate limit a call counts against."""

    READ = "read"
    WRITE = "write"
    SIGN_IN = "sign in"
    MESSAGE = "message"


class BadRoute(Exception):
    """A route does not fit its operation; the server does not start."""


@dataclass(frozen=True)
class Signature:
    """What an operation's signature says."""

    door: type[Read] | type[Database] | None
    ask: type[Ask] | None
    answer: type | None
    passes_json: bool
    """PostgreSQL makes the answer; `answer` is what it is declared to be."""
    may_be_missing: bool
    """PostgreSQL may find nothing, which means 404."""
    resources: dict[str, type]
    """What else of the house it needs, by parameter name."""


def read_signature(operation: Operation) -> Signature:
    """The signature of an operation; raises `BadRoute` where it is not one."""
    hints = get_type_hints(operation, include_extras=True)
    returned = hints.pop("return", inspect.Signature.empty)
    if returned is inspect.Signature.empty:
        raise BadRoute(f"{operation.__name__} does not say what it answers")
    passes_json = get_origin(returned) is Annotated and get_args(returned)[0] in (Json, Json | None)
    may_be_missing = passes_json and get_args(returned)[0] == Json | None
    if returned in (Json, Json | None):
        raise BadRoute(f"{operation.__name__} does not say what its JSON is: Annotated[Json, ItsStruct]")
    answer = get_args(returned)[1] if passes_json else returned
    door: Any = None
    ask: Any = None
    resources: dict[str, type] = {}
    for name, kind in hints.items():
        if kind in (Read, Fresh, Write, Database):
            door = kind
        elif isinstance(kind, type) and issubclass(kind, Ask):
            ask = kind
        else:
            resources[name] = kind
    return Signature(door, ask, None if answer is type(None) else answer, passes_json, may_be_missing, resources)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One call of the HTTP interface, relative to its app's prefix."""

    method: str
    path: str
    operation: Operation
    who: Who
    of: tuple[StrEnum, ...] | None = None
    """What a caller who is signed in must be to the thing that the path names; one of these is enough, and everybody
    else is told 404. Operations decide it, where they read the thing anyway; the authorisation matrix in the tests
    calls each route as everybody and holds the operation to this."""
    refuses: tuple[type[Refusal], ...] = ()
    status: int = 200
    pace: Pace = Pace.READ
    needs_key: bool = False
    """The Idempotency-Key header is required; it is honoured on every command of a signed-in caller."""
    body_limit: int = 0
    """Octets that its body may have, where that is more than the house's own limit."""
    headers: Callable[[Any, Settings], list[tuple[str, str]]] | None = None
    """Headers that the answer brings with it."""
    before: Operation | None = None
    """What must be known first and cannot be asked inside a transaction, such as a chain's word: a function of the
    `Database` and the same input. The operation names its answer as a parameter, by type."""
    cached: Cached | None = None
    """Its answer may be one that was kept; for what anyone may read and PostgreSQL makes the JSON of."""

    frames: tuple[type[msgspec.Struct], ...] = ()
    """What it sends, where it is a live stream: its operation then answers with a `Subscription`."""
    takes: "Mapping[str, Route]" = field(default_factory=dict, hash=False)
    """The calls that a live stream takes, by the name that a frame gives; they may be calls over HTTP as well."""
    attendance: Attendance | type[Attendance] | None = None
    """Who is told which wallets have this live stream open; a type is one of those that the app `keeps`."""

    @property
    def path_names(self) -> tuple[str, ...]:
        """The fields that the path carries."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def has_body(self) -> bool:
        """Whether its input comes as JSON, and not in the query string."""
        return self.method in ("POST", "PUT", "PATCH")


def get(path: str, operation: Operation, *, who: Who, **more: Any) -> Route:
    """A route that only reads."""
    return Route(method="GET", path=path, operation=operation, who=who, **more)


def stream(
    path: str, operation: Operation, *, who: Who, frames: tuple[type[msgspec.Struct], ...], **more: Any
) -> Route:
    """A WebSocket that tells what happens. Its operation decides whether the caller may listen, and to what.

    What it `takes` is carried to the operations of these routes as their caller's, without another look at the session.
    """
    return Route(method="GET", path=path, operation=operation, who=who, frames=frames, **more)


def post(path: str, operation: Operation, *, who: Who, **more: Any) -> Route:
    """A route that makes something."""
    return Route(method="POST", path=path, operation=operation, who=who, **{"pace": Pace.WRITE, **more})


def put(path: str, operation: Operation, *, who: Who, **more: Any) -> Route:
    """A route that makes a thing be as it is told."""
    return Route(method="PUT", path=path, operation=operation, who=who, **{"pace": Pace.WRITE, **more})


def patch(path: str, operation: Operation, *, who: Who, **more: Any) -> Route:
    """A route that changes something in part."""
    return Route(method="PATCH", path=path, operation=operation, who=who, **{"pace": Pace.WRITE, **more})


def delete(path: str, operation: Operation, *, who: Who, **more: Any) -> Route:
    """A route that takes something away."""
    return Route(method="DELETE", path=path, operation=operation, who=who, **{"pace": Pace.WRITE, **more})
