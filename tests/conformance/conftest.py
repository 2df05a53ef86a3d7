"""Every app of the house, and what the migrated database really holds of it."""

import asyncpg
import pytest

from entrepot.kernel.app import App
from entrepot.kernel.http.openapi import taken
from entrepot.kernel.settings import Settings
from entrepot.main import House, find_apps

APPS = find_apps()
ENDPOINTS = House(Settings(database_url="postgresql://nobody@nowhere.invalid/nothing")).endpoints()
CALLS = [(stream, name, call) for stream in ENDPOINTS for name, call in taken(stream).items()]
"""What streams take, which is mostly also a call over HTTP, but need not be."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for an `app` runs for each, one that asks for an `endpoint` for each route of each."""
    if "app" in metafunc.fixturenames:
        metafunc.parametrize("app", APPS, ids=[app.name for app in APPS])
    if "endpoint" in metafunc.fixturenames:
        metafunc.parametrize("endpoint", ENDPOINTS, ids=[f"{e.route.method} {e.url}" for e in ENDPOINTS])
    if "call" in metafunc.fixturenames:
        metafunc.parametrize("call", CALLS, ids=[f"{stream.url}#{name}" for stream, name, _ in CALLS])


COLUMNS = """
    SELECT format('%s.%s %s%s default %s, %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN ' not null' END, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname <> 'alembic_version'
"""
TABLES = """
    SELECT format('table %s (%s) with %s', relname, obj_description(oid), reloptions) FROM pg_class
    WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND relname <> 'alembic_version'
"""
INDEXES = """
    SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
    WHERE c.relnamespace = $1::regnamespace AND NOT c.relispartition AND c.relname <> 'alembic_version'
"""
CONSTRAINTS = """
    SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
    WHERE connamespace = $1::regnamespace AND conrelid <> 0 AND conrelid::regclass::text NOT LIKE '%alembic_version'
        AND NOT EXISTS (SELECT FROM pg_class WHERE pg_class.oid = conrelid AND relispartition)
"""
ENUMS = """
    SELECT format('enum %s %s', typname, array_agg(enumlabel ORDER BY enumsortorder)) FROM pg_type
    JOIN pg_enum ON enumtypid = pg_type.oid WHERE typnamespace = $1::regnamespace GROUP BY typname
"""


async def catalogue(connection: asyncpg.Connection, app: App) -> set[str]:
    """Everything in an app's schema that its `tables.py` can speak of, as PostgreSQL itself prints it."""
    found: set[str] = set()
    for statement in (COLUMNS, TABLES, INDEXES, CONSTRAINTS, ENUMS):
        found |= {row[0] for row in await connection.fetch(statement, app.name)}
    return found
