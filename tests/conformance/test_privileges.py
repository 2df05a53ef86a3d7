"""The server's role may do what the server does, and nothing else: tried as that role."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from entrepot.kernel.app import App
from tests.conftest import ROLE, TestDatabase

OWNED = """
    SELECT relname::text FROM pg_class WHERE relowner = $1::regrole
    UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspowner = $1::regrole
    UNION ALL SELECT proname::text FROM pg_proc WHERE proowner = $1::regrole
    UNION ALL SELECT typname::text FROM pg_type WHERE typowner = $1::regrole
    UNION ALL SELECT datname::text FROM pg_database WHERE datdba = $1::regrole
"""
POWERS = """
    SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls
        OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r WHERE rolname = $1
"""


@pytest.fixture
async def server(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the server has it."""
    connection = await asyncpg.connect(database.url)
    yield connection
    await connection.close()


async def refused(server: asyncpg.Connection, statement: str) -> bool:
    """Whether PostgreSQL denies it for want of the right, and not for another reason."""
    transaction = server.transaction()
    await transaction.start()
    try:
        await server.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    finally:
        await transaction.rollback()
    return False


async def test_the_role_owns_nothing_and_has_no_powers(server: asyncpg.Connection) -> None:
    assert [row[0] for row in await server.fetch(OWNED, ROLE)] == []
    assert await server.fetchval(POWERS, ROLE) is False
    assert await server.fetchval("SELECT current_user") == ROLE


async def test_the_role_cannot_change_the_schema(app: App, server: asyncpg.Connection) -> None:
    for table in app.tables.tables.values():
        column = next(iter(table.columns)).name
        for statement in (
            f"ALTER TABLE {table.fullname} ADD COLUMN surplus integer",
            f"ALTER TABLE {table.fullname} DISABLE TRIGGER ALL",
            f"TRUNCATE {table.fullname} CASCADE",
            f"DROP TABLE {table.fullname} CASCADE",
            f"CREATE INDEX ON {table.fullname} ({column})",
            f"COMMENT ON TABLE {table.fullname} IS 'mine'",
        ):
            assert await refused(server, statement), statement


@pytest.mark.parametrize("what", ["TABLE {}.t (i int)", "FUNCTION {}.f() RETURNS int LANGUAGE sql RETURN 1"])
async def test_the_role_cannot_make_anything(what: str, app: App, server: asyncpg.Connection) -> None:
    for schema in (app.name, "public"):
        assert await refused(server, f"CREATE {what.format(schema)}")
    assert await refused(server, "CREATE SCHEMA mine")


async def test_the_role_can_work_with_every_table_but_only_add_to_some(app: App, server: asyncpg.Connection) -> None:
    for table in app.tables.tables.values():
        column = next(iter(table.columns)).name
        assert not await refused(server, f"SELECT FROM {table.fullname} LIMIT 1")
        assert not await refused(server, f"INSERT INTO {table.fullname} SELECT * FROM {table.fullname} WHERE false")
        for statement in (
            f"UPDATE {table.fullname} SET {column} = {column} WHERE false",
            f"DELETE FROM {table.fullname} WHERE false",
        ):
            assert await refused(server, statement) is (table.name in app.append_only), statement


async def test_the_role_reads_the_version_and_cannot_move_it(app: App, server: asyncpg.Connection) -> None:
    assert await server.fetchval(f"SELECT version_num FROM {app.name}.alembic_version")
    assert await refused(server, f"UPDATE {app.name}.alembic_version SET version_num = 'other'")
    assert await refused(server, f"DELETE FROM {app.name}.alembic_version")
    assert await refused(server, f"INSERT INTO {app.name}.alembic_version VALUES ('other')")


async def test_everyone_else_may_do_nothing(app: App, owner: asyncpg.Connection) -> None:
    """A role that was granted nothing sees no table and runs no function of the app's schema."""
    for table in app.tables.tables.values():
        assert not await owner.fetchval("SELECT has_table_privilege('pg_monitor', $1, 'SELECT')", table.fullname)
    open_to_all = await owner.fetch(
        "SELECT p.oid::regprocedure::text FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a"
        " WHERE pronamespace = $1::regnamespace AND a.grantee = 0 AND a.privilege_type = 'EXECUTE'",
        app.name,
    )
    assert [row[0] for row in open_to_all] == []
