"""The migrated schema of every app keeps the house's rules."""

import re

import asyncpg

from entrepot.kernel.app import App

FOREIGN_KEYS = """
    SELECT conrelid::regclass::text AS source, confrelid::regclass::text AS target, pg_get_constraintdef(k.oid) AS told,
        t.relnamespace = k.connamespace AS inside,
        EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
            AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
        ) OR EXISTS (
            SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.conkey[1]
            WHERE i.indrelid = k.conrelid AND i.indisvalid AND cardinality(k.conkey) = 1 AND i.indkey[0] = k.conkey[1]
            AND pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname)
        ) AS indexed
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.confrelid
    WHERE k.contype = 'f' AND k.connamespace = $1::regnamespace
"""
LABELS = """
    SELECT array_agg(enumlabel::text) FROM pg_enum WHERE enumtypid =
    (SELECT atttypid FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2)
"""
CHECKS = """
    SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
    WHERE k.contype = 'c' AND k.conrelid = $1::regclass AND a.attname = $2
"""
DEFAULT = """
    SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
    WHERE adrelid = $1::regclass AND attname = $2
"""


async def allowed(owner: asyncpg.Connection, table: str, column: str) -> set[str]:
    """The values that the database takes in a state column, by its enum type or its CHECK."""
    labels = await owner.fetchval(LABELS, table, column)
    if labels:
        return set(labels)
    checks = [row[0] for row in await owner.fetch(CHECKS, table, column)]
    assert len(checks) == 1, f"{table}.{column} has {len(checks)} CHECKs of its own and no enum type"
    return set(re.findall(r"'([^']*)'", checks[0]))


async def test_no_foreign_key_leaves_the_schema(app: App, owner: asyncpg.Connection) -> None:
    assert [row["told"] for row in await owner.fetch(FOREIGN_KEYS, app.name) if not row["inside"]] == []


async def test_every_foreign_key_has_an_index_that_it_leads(app: App, owner: asyncpg.Connection) -> None:
    keys = await owner.fetch(FOREIGN_KEYS, app.name)
    assert [f"{row['source']}: {row['told']}" for row in keys if not row["indexed"]] == []


async def test_the_database_takes_the_states_of_the_machine_and_no_others(app: App, owner: asyncpg.Connection) -> None:
    for place, machine in app.machines.items():
        table, _, column = place.partition(".")
        states = {state.value for state in machine.states}
        assert states == {state.value for state in type(next(iter(machine.states)))}, f"{place}: a state has no move"
        assert await allowed(owner, f"{app.name}.{table}", column) == states
        default = await owner.fetchval(DEFAULT, f"{app.name}.{table}", column)
        assert default is None or default.split("'")[1] in states - machine.final


async def test_every_table_says_what_it_holds(app: App, owner: asyncpg.Connection) -> None:
    for table in app.tables.tables.values():
        told = await owner.fetchval("SELECT obj_description($1::regclass, 'pg_class')", table.fullname)
        assert told, f"{table.fullname} has no comment"


async def test_money_is_never_a_float(app: App, owner: asyncpg.Connection) -> None:
    floats = await owner.fetch(
        "SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND atttypid IN ('real'::regtype, 'float8'::regtype)",
        app.name,
    )
    columns = [column for table in app.tables.tables.values() for column in table.columns]
    measured = {f"{column.table.fullname}.{column.name}" for column in columns if column.info.get("measured")}
    assert {row[0] for row in floats} == measured


async def test_every_moment_knows_its_time_zone(app: App, owner: asyncpg.Connection) -> None:
    naive = await owner.fetch(
        "SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " WHERE c.relnamespace = $1::regnamespace AND atttypid = 'timestamp'::regtype",
        app.name,
    )
    assert [row[0] for row in naive] == []
