"""The App object: all that the house may know of an application."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from entrepot.kernel.cache.kind import Cached
from entrepot.kernel.db.doors import Write
from entrepot.kernel.deferred import ByName
from entrepot.kernel.http.route import Route
from entrepot.kernel.machine import Machine
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.task import Service, Task

if TYPE_CHECKING:
    import sqlalchemy as sa

OnSignIn = Callable[[Write, Wallet, PublicKey | None], Awaitable[None]]


@dataclass(frozen=True)
class Keep:
    """Rows of this table are never deleted."""

    because: str


@dataclass(frozen=True)
class Expire:
    """Rows may leave this table once they are this old and the condition (SQL over the table) holds."""

    after: timedelta
    column: str
    condition: str = "true"
    """Over the table, whose columns need no prefix."""
    archive: bool = True
    """Whether they are archived, proven and covered by a proven backup before they go."""
    cold: timedelta | None = None
    """For how long their archive is kept after that; None: for ever."""


class Period(StrEnum):
    """How much time a partition holds. UTC; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, kw_only=True)
class Partitioned:
    """A table that is partitioned by ranges of time. Its rows leave it by whole partitions."""

    table: str
    key: str
    """The column that it is partitioned by: a timestamp with time zone and not null, or an id of version 7, which has
    its time in front, so that the id alone is unique in all partitions."""
    period: Period
    horizon: timedelta
    """How far ahead of now partitions are there."""


@dataclass(frozen=True, kw_only=True)
class App:
    """An application's whole declaration.

    `name` is also its PostgreSQL schema, its URL prefix below /api/v1, its command group and its package. What
    `entrepot <name>` offers to operators is COMMANDS of its module `commands`, where there is one: the command line
    reads that without this declaration, which imports the whole app.
    """

    name: str
    tables: ByName["sa.MetaData"] = ByName()  # noqa: RUF009 - no default, but where it is kept
    """Named, because who serves or works asks PostgreSQL alone, and SQLAlchemy costs each process 0.4 s of CPU."""
    routes: tuple[Route, ...] = ()
    prefix: str | None = None
    """The URL prefix where it is not the name; the kernel's own routes stand directly below /api/v1."""
    tasks: tuple[Task, ...] = ()
    services: tuple[Service, ...] = ()
    contracts: tuple[str, ...] = ()
    """The contracts that it deploys or watches, by artefact name."""
    held: str = ""
    """SQL that counts what its contracts on the chain `:chain` hold. While there is any, no other is put beside them:
    it would give the same numbers again."""
    machines: Mapping[str, Machine[Any, Any]] = field(default_factory=dict)
    """State machines by "table.column"."""
    retention: Mapping[str, Keep | Expire] = field(default_factory=dict)
    """For every table, by name."""
    invariants: Mapping[str, str] = field(default_factory=dict)
    """What is always true of its data, by name: SQL that answers with the rows of which it is not, so with none."""
    partitions: Mapping[str, Partitioned] = field(default_factory=dict)
    """By table."""
    caches: tuple[Cached, ...] = ()
    """The kinds of answers that may be kept; a route names one, and whoever writes what it shows has it forgotten."""
    append_only: frozenset[str] = frozenset()
    """Tables in which the server may neither change nor delete a row."""
    keeps: tuple[type, ...] = ()
    """What its operations share while the process lives, such as a cache: the house makes one of each type, without
    arguments, and hands it to whoever names the type as a parameter."""
    on_sign_in: OnSignIn | None = None
    """Called in the transaction of a sign-in; may refuse it."""

    @property
    def url(self) -> str:
        """Where its routes stand."""
        return f"/api/v1/{self.name if self.prefix is None else self.prefix}".rstrip("/")


class Apps(tuple[App, ...]):
    """Every application that is turned on, the kernel's own first, for what is done to each of them."""

    __slots__ = ()
