"""A tiny app of the tests' own, whose things grow old: single rows of every type, and readings in daily partitions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP

from entrepot.kernel.app import App, Apps, Expire, Partitioned, Period
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import Settings
from entrepot.kernel.store.archives import Archives, archives_of
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.retention import RetentionRun, Run
from tests.conftest import ROLE, TestDatabase, settings_for

NOW = datetime(2026, 6, 1, 2, tzinfo=UTC)
METADATA = sa.MetaData(schema="attic")
things = sa.Table(
    "things",
    METADATA,
    sa.Column("id", sa.BIGINT, primary_key=True),
    sa.Column("part", sa.VARCHAR, primary_key=True),
    sa.Column("at", TIMESTAMP(timezone=True)),
    sa.Column("state", sa.TEXT),
)
sa.Table(
    "labels",
    METADATA,
    sa.Column("id", sa.BIGINT, primary_key=True),
    sa.Column("thing", sa.BIGINT),
    sa.Column("part", sa.VARCHAR),
    sa.ForeignKeyConstraint(["thing", "part"], [things.c.id, things.c.part]),
)
sa.Table("readings", METADATA, sa.Column("id", sa.BIGINT), sa.Column("at", TIMESTAMP(timezone=True)))
sa.Table("scraps", METADATA, sa.Column("id", sa.BIGINT), sa.Column("at", TIMESTAMP(timezone=True)))
SQL = f"""
    CREATE SCHEMA attic;
    CREATE TYPE attic.mood AS ENUM ('glad', 'so, so', '"sad"');
    CREATE TABLE attic.things (id bigint, at timestamptz, state text NOT NULL DEFAULT 'done',
        small smallint, whole integer, exact numeric, money numeric(20, 6), half real, twice double precision,
        yes boolean, name varchar(40), fixed char(6), words text, raw bytea, day date, "Hour of day" time,
        late timetz, naive timestamp, since interval, uid uuid, doc json, tree jsonb, tags text[], grid integer[][],
        span tstzrange, net inet, mood attic.mood, bits varbit, half_id bigint GENERATED ALWAYS AS (id / 2) STORED,
        part varchar(10) DEFAULT '', PRIMARY KEY (part, id));
    CREATE TABLE attic.labels (id bigint PRIMARY KEY, thing bigint, part varchar(10) DEFAULT '',
        FOREIGN KEY (part, thing) REFERENCES attic.things);
    CREATE TABLE attic.readings (id bigint NOT NULL, at timestamptz NOT NULL, value numeric, note text,
        PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE attic.scraps (id bigint, at timestamptz);
    CREATE TABLE attic.alembic_version (version_num text); INSERT INTO attic.alembic_version VALUES ('attic_0007');
    GRANT USAGE ON SCHEMA attic TO {ROLE};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA attic TO {ROLE};
"""
DAILY = Partitioned(table="readings", key="at", period=Period.DAY, horizon=timedelta(days=5))
APP = App(
    name="attic",
    tables=METADATA,
    partitions={"readings": DAILY},
    retention={
        "things": Expire(timedelta(days=30), "at", "state = 'done'"),
        "readings": Expire(timedelta(days=10), "at", cold=timedelta(days=100)),
        "scraps": Expire(timedelta(days=1), "at", archive=False),
    },
)


class Attic:
    """What a test has: the owner's connection, the server's database, the store of archives, and a clock."""

    def __init__(self, owner: asyncpg.Connection, database: Database, archives: Archives, settings: Settings) -> None:
        self.owner, self.database, self.archives, self.settings = owner, database, archives, settings
        self.apps = Apps((APP,))

    async def run(self, now: datetime = NOW, seconds: float = 60) -> RetentionRun:
        """A retention run at that moment."""
        return await Run(self.database, self.archives, self.apps, self.settings, now=now, seconds=seconds)()

    async def partitions(self, now: datetime) -> list[str]:
        """Makes what is missing, as the server's role."""
        async with self.database.write() as db:
            return await partitions.make(db, self.apps, now)

    async def days(self, first: datetime, last: datetime) -> None:
        """Partitions for these days."""
        async with self.database.write() as db:
            await partitions.cover(db, APP, DAILY, first, last)

    async def add_readings(self, days: int, a_day: int) -> None:
        """So many readings for each of so many days up to now."""
        await self.days(NOW - timedelta(days=days), NOW)
        await self.owner.execute(
            "INSERT INTO attic.readings SELECT i, $1::timestamptz - i * interval '1 day' / $2, i / 7.0,"
            " CASE i % 3 WHEN 0 THEN 'a, \"b\"' || chr(10) WHEN 1 THEN '' END FROM generate_series(0, $3::bigint) i",
            NOW,
            a_day,
            days * a_day - 1,
        )

    async def image(self, table: str) -> list[str]:
        """Every row as PostgreSQL writes it."""
        rows = await self.owner.fetch(f"SELECT t::text FROM attic.{table} t ORDER BY 1")
        return [row[0] for row in rows]

    async def ledger(self) -> list[asyncpg.Record]:
        """Every archive, the oldest first."""
        return list(await self.owner.fetch("SELECT * FROM core.archives ORDER BY started_at, id"))

    async def backup(self, until: str = "now()") -> None:
        """A backup was proven that covers what was committed until then."""
        await self.owner.execute(PROOF.format(until))


PROOF = """
    INSERT INTO core.backup_proofs SELECT (jsonb_populate_record(NULL::core.backup_proofs, to_jsonb(p))).* FROM (
        SELECT gen_random_uuid() AS id, gen_random_uuid() AS backup, 'full' AS kind, '0/1' AS from_lsn,
            '0/2' AS to_lsn, {} AS covers_until, now() AS verified_at, now() AS started_at, 'proven' AS outcome,
            ARRAY[]::text[] AS findings, 1 AS tables, 1 AS rows, 1 AS seconds) p
"""


@asynccontextmanager
async def opened(database: TestDatabase, folder: Path, **more: Any) -> AsyncIterator[Attic]:
    """The attic in a migrated database, its archives in a folder."""
    given = {"archives_url": folder.as_uri(), "retention_needs_backup": False, **more}
    settings = settings_for(database, **given)
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute(SQL)
        async with Database(database.url, settings) as doors:
            yield Attic(owner, doors, archives_of(settings), settings)
    finally:
        await owner.close()
