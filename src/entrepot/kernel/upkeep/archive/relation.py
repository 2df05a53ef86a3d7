"""A table that archives are made of: its columns, and the SQL that reads, removes and brings back its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from entrepot.kernel.app import App, Expire
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.upkeep.archive.model import Column

if TYPE_CHECKING:
    import sqlalchemy as sa

# What PostgreSQL computes itself is neither archived nor brought back.
COLUMNS = Query("""
    SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
        coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0) AS key
    FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ORDER BY a.attnum
""")
# Counted, because who asks for one value gets the first row, and the others are never made.
PLAIN = Query("""
    SELECT count(set_config(name, value, true)) FROM (VALUES ('statement_timeout', '0'), ('DateStyle', 'ISO, YMD'),
        ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'), ('extra_float_digits', '1'), ('bytea_output', 'hex'),
        ('synchronize_seqscans', 'off'), ('max_parallel_workers_per_gather', '0'), ('enable_indexscan', :by_index),
        ('enable_bitmapscan', :by_index)) AS wanted (name, value)
""")


def quoted(name: str) -> str:
    """An identifier as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(moment: datetime) -> str:
    """A moment as SQL has it."""
    return f"'{moment.isoformat()}'::timestamptz"


def least_id(moment: datetime) -> str:
    """The least id of version 7 that was made at a moment, as SQL has it: for tables whose key of time is their id."""
    return f"core.least_id({literal(moment)})"


async def columns_of(db: Read, table: str) -> list[Column]:
    """The columns of a table ("schema"."table") that an archive has."""
    return await db.all(Column, COLUMNS, table=table)


async def speak_plainly(db: Read, *, in_order: bool = False) -> None:
    """Sets, for this transaction, how values are written, and lets it take its time.

    `in_order` lets nothing but one scan from the first page to the last read a table: the same rows, if none was
    touched, come in the same order again.
    """
    await db.value(PLAIN, by_index="off" if in_order else "on")


@dataclass(frozen=True)
class Relation:
    """A table with its rule."""

    app: App
    table: "sa.Table"
    rule: Expire

    @property
    def name(self) -> str:
        """As SQL has it."""
        return f"{quoted(self.app.name)}.{quoted(self.table.name)}"

    @property
    def is_partitioned(self) -> bool:
        """Whether whole partitions leave it."""
        return self.table.name in self.app.partitions

    def within(self, lower: datetime | None, upper: datetime) -> str:
        """That a row's time lies from `lower` up to and without `upper`."""
        column = f"t.{quoted(self.rule.column)}"
        bound = least_id if self.table.columns[self.rule.column].type.python_type is UUID else literal
        return " AND ".join(([] if lower is None else [f"{column} >= {bound(lower)}"]) + [f"{column} < {bound(upper)}"])

    @property
    def may_leave(self) -> str:
        """That a row fulfils its rule's condition and no row of another table refers to it."""
        children = [
            f"NOT EXISTS (SELECT FROM {quoted(child.schema or '')}.{quoted(child.name)} AS c WHERE "
            + " AND ".join(f"c.{quoted(e.parent.name)} = t.{quoted(e.column.name)}" for e in key.elements)
            + ")"
            for child in self.app.tables.tables.values()
            for key in sorted(child.foreign_key_constraints, key=lambda key: str(key.name))
            if key.referred_table is self.table
        ]
        return " AND ".join([f"({self.rule.condition})", *children])

    def rows(self, columns: Sequence[Column], lower: datetime | None, upper: datetime) -> str:
        """The SELECT of what goes into one archive."""
        listed = ", ".join(f"t.{quoted(column.name)}" for column in columns)
        allowed = "" if self.is_partitioned else f" AND {self.may_leave}"
        return f"SELECT {listed} FROM {self.name} AS t WHERE {self.within(lower, upper)}{allowed}"

    def deletion(self, columns: Sequence[Column]) -> str:
        """Deletes rows that are given as a text array for each column, and answers the places of those that it deleted.

        A row goes only if it is still, in every column, what it was, and still may go.
        """
        given = ", ".join(f"${place}::text[]" for place in range(1, len(columns) + 1))
        names = ", ".join(f"_{place}" for place in range(1, len(columns) + 1))
        same = [
            f"t.{quoted(column.name)} = g._{place}::{column.type}"
            if column.key
            else f"t.{quoted(column.name)}::text IS NOT DISTINCT FROM (g._{place}::{column.type})::text"
            for place, column in enumerate(columns, 1)
        ]
        return (
            f"DELETE FROM {self.name} AS t USING unnest({given}) WITH ORDINALITY AS g({names}, _place)"
            f" WHERE {' AND '.join(same)} AND {self.may_leave} RETURNING g._place - 1"
        )

    def purge(self, upper: datetime, many: int) -> str:
        """Deletes so many rows that no archive is made of."""
        chosen = (
            f"SELECT t.ctid FROM {self.name} AS t WHERE {self.within(None, upper)} AND {self.may_leave} LIMIT {many}"
        )
        return f"DELETE FROM {self.name} WHERE ctid = ANY(ARRAY({chosen} FOR UPDATE OF t SKIP LOCKED))"

    def bound(self, lower: datetime | None, upper: datetime, many: int) -> str:
        """Up to where an archive goes that holds about so many rows: no time is cut in two. Null: all; no row: none."""
        column = f"t.{quoted(self.rule.column)}"
        due = f"FROM {self.name} AS t WHERE {self.within(lower, upper)} AND {self.may_leave}"
        first = f"(SELECT {column} AS at {due} ORDER BY 1 LIMIT 1)"
        return (
            f"SELECT CASE WHEN many.at > first.at THEN many.at WHEN many.at IS NOT NULL THEN"
            f" (SELECT min({column}) {due} AND {column} > many.at) END AS at FROM {first} first"
            f" LEFT JOIN (SELECT {column} AS at {due} ORDER BY 1 OFFSET {many} LIMIT 1) many ON true"
        )
