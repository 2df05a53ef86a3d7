"""The App object: all that the house may know of an application."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import typer

from entrepot.kernel.db.doors import Write
from entrepot.kernel.http.route import Route
from entrepot.kernel.machine import Machine
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.task import Service, Task

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
    archive: bool = True


@dataclass(frozen=True, kw_only=True)
class App:
    """An application's whole declaration.

    `name` is also its PostgreSQL schema, its URL prefix below /api/v1, its command group and its package.
    """

    name: str
    tables: sa.MetaData
    routes: tuple[Route, ...] = ()
    prefix: str | None = None
    """The URL prefix where it is not the name; the kernel's own routes stand directly below /api/v1."""
    tasks: tuple[Task, ...] = ()
    services: tuple[Service, ...] = ()
    contracts: tuple[str, ...] = ()
    """The contracts that it deploys or watches, by artefact name."""
    machines: Mapping[str, Machine[Any, Any]] = field(default_factory=dict)
    """State machines by "table.column"."""
    retention: Mapping[str, Keep | Expire] = field(default_factory=dict)
    """For every table, by name."""
    append_only: frozenset[str] = frozenset()
    """Tables in which the server may neither change nor delete a row."""
    commands: typer.Typer | None = None
    """What `entrepot <name>` offers to operators."""
    keeps: tuple[type, ...] = ()
    """What its operations share while the process lives, such as a cache: the house makes one of each type, without
    arguments, and hands it to whoever names the type as a parameter."""
    on_sign_in: OnSignIn | None = None
    """Called in the transaction of a sign-in; may refuse it."""

    @property
    def url(self) -> str:
        """Where its routes stand."""
        return f"/api/v1/{self.name if self.prefix is None else self.prefix}".rstrip("/")
