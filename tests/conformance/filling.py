"""Rows for every table of an app, whatever it is: values are tried until the table's own rules take them."""

import random
import re
from dataclasses import dataclass, field

import asyncpg

from entrepot.kernel.app import App
from entrepot.kernel.values import new_id

TRIES = 2_000
COLUMNS = """
    SELECT attname::text AS name, atttypid::regtype::text AS type, format_type(atttypid, atttypmod) AS whole,
        attnotnull AS is_needed,
        (SELECT array_agg(quote_literal(enumlabel)) FROM pg_enum WHERE enumtypid = atttypid) AS labels
    FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        AND attidentity = '' ORDER BY attnum
"""
RULES = """
    SELECT conname::text AS name, pg_get_constraintdef(oid) AS text, (SELECT array_agg(attname::text) FROM pg_attribute
        WHERE attrelid = conrelid AND attnum = ANY(conkey)) AS columns
    FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c'
"""
LITERAL = re.compile(r"'(?:[^']|'')*'")
NUMBERS = ["0", "1", "2", "50", "1000000"]
VALUES = {
    "boolean": ["false", "true"],
    "bytea": ["decode(repeat('ab', 32), 'hex')", "decode(repeat('ab', 24), 'hex')", "'x'"],
    "character varying": ["'a'", "'0x' || repeat('1', 40)", "'0x' || repeat('ab', 32)"],
    "date": ["current_date"],
    "inet": ["'192.0.2.1'"],
    "interval": ["'1 hour'"],
    "jsonb": ["'{}'", "'[]'"],
    "json": ["'{}'", "'[]'"],
    "pg_lsn": ["'0/1'"],
    "text": ["'a'", "'0x' || repeat('1', 40)", "'0x' || repeat('ab', 32)", "repeat('a', 40)", "''"],
    "timestamp with time zone": ["now()", "now() + interval '1 hour'"],
    "tsvector": ["''"],
    "uuid": [f"'{new_id()}'" for _ in range(3)],
    "xid8": ["pg_current_xact_id()"],
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric", "double precision", "real"), NUMBERS),
}


@dataclass
class Table:
    """A table's columns, each with what may be tried for it, and the columns that each of its rules speaks of."""

    name: str
    tried: dict[str, list[str]] = field(default_factory=dict)
    rules: dict[str, list[str]] = field(default_factory=dict)

    async def fill(self, owner: asyncpg.Connection, chance: random.Random) -> None:
        """One row more, or the one that may be there; where a rule refuses it, what that speaks of is chosen anew."""
        row = {column: chance.choice(values) for column, values in self.tried.items()}
        refused: Exception | None = None
        for _ in range(TRIES):
            try:
                names, values = ", ".join(row), ", ".join(row.values())
                await owner.execute(f"INSERT INTO {self.name} ({names}) VALUES ({values}) ON CONFLICT DO NOTHING")
            except (asyncpg.CheckViolationError, asyncpg.DataError) as error:
                refused, columns = error, self.rules.get(getattr(error, "constraint_name", None) or "", list(row))
                row |= {column: chance.choice(self.tried[column]) for column in columns if column in row}
            else:
                return
        raise AssertionError(f"found no row for {self.name}: {refused}")


async def read(owner: asyncpg.Connection, name: str) -> Table:
    """A table as the database has it. What its rules name as literals is tried as well."""
    made = Table(name)
    rules = await owner.fetch(RULES, name)
    for column in await owner.fetch(COLUMNS, name):
        of_type = column["type"].removesuffix("[]")
        values = column["labels"] or VALUES.get(of_type) or [f"NULL::{of_type}"]
        named = [each for rule in rules if column["name"] in rule["columns"] for each in LITERAL.findall(rule["text"])]
        if of_type in {"text", "character varying"}:
            values = values + [each for each in named if not set(each) & set("^$\\[")]
        if of_type != column["type"]:
            values = [f"ARRAY[{values[0]}]", "'{}'"]
        casts = [f"({each})::{column['whole']}" for each in values]  # which cuts a text to its length
        made.tried[column["name"]] = casts if column["is_needed"] else [*casts, "NULL"]
    made.rules = {rule["name"]: rule["columns"] for rule in rules}
    return made


async def fill(owner: asyncpg.Connection, app: App, seed: int) -> None:
    """A row in every table of the app. Foreign keys are not looked at."""
    chance = random.Random(seed)
    await owner.execute("SET session_replication_role = replica")
    for table in app.tables.sorted_tables:
        await (await read(owner, table.fullname)).fill(owner, chance)
    await owner.execute("RESET session_replication_role")


async def counts(owner: asyncpg.Connection, app: App) -> dict[str, int]:
    """How many rows each of its tables has."""
    return {name: await owner.fetchval(f"SELECT count(*) FROM {name}") for name in app.tables.tables}
