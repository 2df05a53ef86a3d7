"""Where every app's schema stands, and where this release's does: asked at each start, so without loading Alembic."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg

from entrepot.kernel.app import App

VERSION = """
    SELECT string_agg(version_num, ', ' ORDER BY version_num) FROM "{schema}".alembic_version
"""


@dataclass(frozen=True)
class Standing:
    """Where an app's schema stands: the revision it has, and the one that this release brings."""

    app: str
    has: str | None
    head: str

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return self.has == self.head


def home(app: App) -> Path:
    """The folder of an app's migrations."""
    package = "entrepot.kernel" if app.name == "core" else f"entrepot.apps.{app.name}"
    return Path(str(import_module(package).__file__)).parent / "migrations"


def head(app: App) -> str:
    """The revision that none follows, as Alembic finds it. Of several, which Alembic refuses, all."""
    known: set[str] = set()
    followed: set[str] = set()
    for file in (home(app) / "versions").glob("*.py"):
        told = dict(_told(ast.parse(file.read_text())))
        before = told["down_revision"] or ()
        known.add(told["revision"])
        followed.update((before,) if isinstance(before, str) else before)
    return ", ".join(sorted(known - followed))


def _told(revision: ast.Module) -> Iterator[tuple[str, Any]]:
    """The constants of a revision. It is read and not run, because it may import what only a migration needs."""
    for node in revision.body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = value.elts if isinstance(value, ast.Tuple) and len(names) > 1 else [value]
            for name, constant in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and name.id in ("revision", "down_revision"):
                    yield name.id, ast.literal_eval(constant)


async def status(url: str, apps: Sequence[App]) -> list[Standing]:
    """Where every app's schema stands."""
    # One transaction and no named statements, so that the address may be a transaction pooler's.
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        async with connection.transaction(readonly=True):
            return [Standing(app.name, await _revision(connection, app.name), head(app)) for app in apps]
    finally:
        await connection.close()


async def _revision(connection: asyncpg.Connection, schema: str) -> str | None:
    """What Alembic has noted there; None where it has noted nothing."""
    if await connection.fetchval("SELECT to_regclass($1)", f'"{schema}".alembic_version') is None:
        return None
    has: str | None = await connection.fetchval(VERSION.format(schema=schema))
    return has
