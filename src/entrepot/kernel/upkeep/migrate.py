"""Migrations: one Alembic environment per app, all run in order under one advisory lock."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
import sqlalchemy as sa
import stamina
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from entrepot.kernel import clock
from entrepot.kernel.app import App
from entrepot.kernel.db.doors import Write
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.revisions import home

T = TypeVar("T")
LOCK = 0x656E7472  # "entr"
ENVIRONMENT = Path(__file__).parent / "alembic"
LOCK_TIMEOUT = "5s"
TRY_LOCK = "SELECT CASE WHEN pg_try_advisory_lock(:key) THEN true ELSE pg_sleep(0.1) IS NULL END"
"""Takes the lock, or waits a little and tells that it did not."""

TABLES = """
    SELECT string_agg(format('%I.%I', nspname, relname), ', ') FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE n.oid = to_regnamespace(:schema) AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
"""
"""What the server is given rights to: a partition is reached by its table, and so only."""


async def with_connection(url: str, work: Callable[[Connection], T]) -> T:
    """Runs synchronous work, such as Alembic's, on one connection."""
    # asyncpg reads the address itself: SQLAlchemy's own reader knows one host and port only.
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=sa.NullPool, async_creator=lambda: asyncpg.connect(url)
    )
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def config(app: App, connection: Connection | None = None) -> Config:
    """Alembic's configuration for one app."""
    made = Config()
    made.set_main_option("script_location", str(ENVIRONMENT))
    made.set_main_option("path_separator", "newline")
    made.set_main_option("version_locations", str(home(app) / "versions"))
    made.attributes.update(connection=connection, metadata=app.tables, schema=app.name)
    return made


def names_of_partitions(connection: sa.Connection, schema: str) -> set[str]:
    """What alembic sees as tables and no `tables.py` speaks of."""
    query = """SELECT relname FROM pg_class
        WHERE relispartition AND relkind = 'r' AND relnamespace = to_regnamespace(:schema)"""
    return {row[0] for row in connection.execute(sa.text(query), {"schema": f'"{schema}"'})}


@contextmanager
def locked(connection: Connection) -> Iterator[None]:
    """One migration run at a time, on any machine; needs an address without a transaction pooler.

    Who waits asks again and again: a statement that waits in `pg_advisory_lock` has a snapshot, and a concurrent index
    build by the one who holds the lock waits for all snapshots, which is a deadlock.
    """
    while not connection.execute(sa.text(TRY_LOCK), {"key": LOCK}).scalar_one():
        connection.commit()
    connection.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(sa.text("RESET lock_timeout"))
        connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
        connection.commit()


def grant(connection: Connection, app: App, role: str) -> None:
    """Gives the server's role what it needs in this schema and no more; a pure function of the declaration."""
    run = connection.exec_driver_sql
    run(f'GRANT USAGE ON SCHEMA "{app.name}" TO "{role}"')
    tables = connection.execute(sa.text(TABLES), {"schema": f'"{app.name}"'}).scalar_one()
    run(f'REVOKE ALL ON {tables} FROM "{role}"')
    run(f'GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO "{role}"')
    run(f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{app.name}" TO "{role}"')
    run(f'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "{app.name}" TO "{role}"')
    for table in sorted(app.append_only):
        run(f'REVOKE UPDATE, DELETE ON "{app.name}"."{table}" FROM "{role}"')
    run(f'REVOKE INSERT, UPDATE, DELETE ON "{app.name}".alembic_version FROM "{role}"')
    connection.commit()


@contextmanager
def undone_if_it_fails(connection: Connection) -> Iterator[None]:
    """So that the same connection can try again."""
    try:
        yield
    except DBAPIError:
        connection.rollback()
        raise


def overtaken(error: Exception) -> bool:
    """Whether another process changed the same row of the catalogue, such as a worker that attaches a partition.

    PostgreSQL has no SQLSTATE of its own for it.
    """
    return isinstance(error, DBAPIError) and "tuple concurrently updated" in str(error.orig)


def make_role(connection: Connection, role: str) -> None:
    """Makes the server's role where it is missing. It may log in by whatever pg_hba.conf allows it: it has no password.

    The timeouts stand with the role and not with the session, so that they hold behind a transaction pooler too.
    """
    there = connection.execute(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).scalar()
    if not there:
        connection.exec_driver_sql(f'CREATE ROLE "{role}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE')
        connection.exec_driver_sql(f"ALTER ROLE \"{role}\" SET statement_timeout = '15s'")
        connection.exec_driver_sql(f"ALTER ROLE \"{role}\" SET lock_timeout = '5s'")
        connection.exec_driver_sql(f"ALTER ROLE \"{role}\" SET idle_in_transaction_session_timeout = '60s'")
    connection.commit()


async def up(url: str, apps: Sequence[App], role: str, on_step: Callable[[App], None] = lambda _app: None) -> None:
    """Brings every app's schema to this release's head, and the server role's rights with it.

    A migration that cannot have its lock within five seconds gives up and is tried again, so that it never blocks
    traffic for longer.
    """

    def work(connection: Connection) -> None:
        with locked(connection):
            make_role(connection, role)
            for app in apps:
                connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{app.name}"')
                connection.commit()
                for attempt in stamina.retry_context(on=lock_timed_out, attempts=10, timeout=120):
                    with attempt:
                        command.upgrade(config(app, connection), "head")
                connection.commit()
                for attempt in stamina.retry_context(on=overtaken, attempts=10, timeout=60):
                    with attempt, undone_if_it_fails(connection):
                        grant(connection, app, role)
                on_step(app)

    await with_connection(url, work)
    await _make_partitions(url, apps)


async def _make_partitions(url: str, apps: Sequence[App]) -> None:
    """Those that will be needed soon; the worker goes on with it."""
    owner = await asyncpg.connect(url)
    try:
        async with owner.transaction():
            await partitions.make(Write(owner), apps, clock.now())
    finally:
        await owner.close()


async def down(url: str, app: App, to: str = "-1") -> None:
    """Takes back an app's last migration, or all down to a revision (`base` is the empty schema)."""

    def work(connection: Connection) -> None:
        with locked(connection):
            command.downgrade(config(app, connection), to)
            connection.commit()

    await with_connection(url, work)


def lock_timed_out(error: Exception) -> bool:
    """Whether a migration gave up waiting for a lock (SQLSTATE 55P03)."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == "55P03"


async def new(url: str, app: App, message: str) -> Path:
    """Writes a migration from what `tables.py` has and the database has not; to be read before it is kept."""

    def work(connection: Connection) -> Path:
        made = command.revision(config(app, connection), message=message, autogenerate=True)
        return Path(made.path)  # type: ignore[union-attr]

    return await with_connection(url, work)


async def differences(url: str, app: App) -> list[str]:
    """Where a migrated schema and `tables.py` disagree; empty when they do not."""

    def work(connection: Connection) -> list[str]:
        not_ours = {"alembic_version", *names_of_partitions(connection, app.name)}
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _parents: kind != "schema" or name == app.name,
                "include_object": lambda _o, name, kind, _r, _c: kind != "table" or name not in not_ours,
                "compare_type": True,
            },
        )
        return [repr(difference) for difference in compare_metadata(context, app.tables)]

    return await with_connection(url, work)
