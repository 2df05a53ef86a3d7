"""Fills a database with two years of conversations, once, and recognises it afterwards."""

import asyncio
import hashlib
import os
import random
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from eth_utils.address import to_checksum_address

from bench.words import vocabulary
from entrepot.apps.chat.app import APP
from entrepot.dev import postgres
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import migrate, partitions
from entrepot.main import find_apps

VERSION = 1
ROLE, NAME, TRIAL = "entrepot_server", "entrepot_chat", "entrepot_chat_shape"
SPAN = timedelta(days=730)
COLUMNS = ("wallet_address", "name", "public_key", "created_at")
# Nothing of a fill is worth keeping when it breaks off.
HASTE = {
    **postgres.SETTINGS,
    **postgres.UNSAFE,
    "shared_buffers": "2GB",
    "maintenance_work_mem": "512MB",
    "work_mem": "256MB",
    "max_wal_size": "8GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "max_parallel_workers_per_gather": "0",
}

SHAPE = """
SELECT coalesce(string_agg(line, chr(10) ORDER BY line), '') FROM (
    SELECT format('%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull) AS line
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace IN ('chat'::regnamespace, 'core'::regnamespace) AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace IN ('chat'::regnamespace, 'core'::regnamespace) AND NOT c.relispartition
) shape
"""

# A talk is a conversation as it is to be: so many messages, evenly over its time.
PREPARE = """
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
CREATE FUNCTION bench.chance(n bigint, salt bigint) RETURNS float8 IMMUTABLE PARALLEL SAFE LANGUAGE sql
    RETURN (hashint8extended(n, salt) & 2147483647) / 2147483648.0;
CREATE FUNCTION bench.noise(talk bigint, seq bigint) RETURNS bytea IMMUTABLE PARALLEL SAFE LANGUAGE sql
    RETURN sha512(int8send(talk * 1000000 + seq));
CREATE FUNCTION bench.id(noise bytea, at float8) RETURNS uuid IMMUTABLE PARALLEL SAFE LANGUAGE sql
    RETURN (lpad(to_hex(floor(at * 1000)::bigint), 12, '0') || '7' || substr(encode(noise, 'hex'), 1, 3) || '8'
        || substr(encode(noise, 'hex'), 4, 15))::uuid;
CREATE FUNCTION bench.member(talk bigint, nth bigint, users bigint) RETURNS bigint IMMUTABLE PARALLEL SAFE LANGUAGE sql
    RETURN 1 + (talk * 7919 + nth * 104729) % users;
"""
TALKS = """
CREATE UNLOGGED TABLE bench.talk AS
WITH pair AS (
    SELECT DISTINCT ON (1, 2) least(a, b) AS first_id, greatest(a, b) AS second_id, 0::bigint AS members
    FROM (
        SELECT 1 + floor($1::bigint * power(bench.chance(n, 1), 1.5))::bigint AS a,
            1 + floor($1 * bench.chance(n, 2))::bigint AS b
        FROM generate_series(1, $2::bigint) n
    ) two WHERE a <> b
), room AS (
    SELECT NULL::bigint AS first_id, NULL::bigint AS second_id,
        CASE n WHEN 1 THEN least(1000, $1) ELSE least(3 + floor(47 * power(bench.chance(n, 3), 2))::bigint, $1) END
            AS members
    FROM generate_series(1, $3::bigint) n
), every AS (
    SELECT row_number() OVER () AS n, * FROM (SELECT * FROM room UNION ALL SELECT * FROM pair) both_kinds
), weighed AS (
    SELECT *, power(greatest(bench.chance(n, 4), 1e-6), -0.5) AS weight,
        CASE WHEN bench.chance(n, 5) < 0.2 THEN 0 ELSE 0.97 * bench.chance(n, 6) END AS begins,
        CASE WHEN bench.chance(n, 5) < 0.2 THEN 1 ELSE power(bench.chance(n, 7), 2) END AS lasts
    FROM every
)
SELECT n, first_id, second_id, members, greatest(1, round($4::bigint * weight / sum(weight) OVER ()))::bigint AS count,
    $5::float8 + ($6::float8 - $5) * begins AS started, ($6 - $5) * (0.002 + 0.998 * lasts * (1 - begins)) AS lasted,
    CASE WHEN bench.chance(n, 8) < 0.1 THEN 1 + floor(5 * bench.chance(n, 9))::bigint ELSE 0 END AS unread,
    NULL::uuid AS id, NULL::uuid AS last_id, NULL::float8 AS last_at
FROM weighed
"""
# None goes on beyond the end, and all are known by ids of when they began.
NUMBERED = """
UPDATE bench.talk SET lasted = least(lasted, $1::float8 - started), unread = least(unread, count - 1);
UPDATE bench.talk SET last_at = started + lasted * ((count - 0.5) / count), id = bench.id(bench.noise(n, 0), started);
UPDATE bench.talk SET last_id = bench.id(bench.noise(n, count), last_at);
"""
ROOMS = """
INSERT INTO chat.groups (id, owner_id, name, is_public, members, created_at)
    SELECT id, bench.member(n, 0, $1::bigint), 'Group ' || n, n % 4 = 0, members, to_timestamp(started)
    FROM bench.talk WHERE members > 0;
INSERT INTO chat.group_members (group_id, user_id, role, joined_at)
    SELECT id, bench.member(n, nth, $1::bigint), CASE nth WHEN 0 THEN 'owner' ELSE 'member' END, to_timestamp(started)
    FROM bench.talk, generate_series(0, members - 1) nth WHERE members > 0;
"""
PLACES = """
INSERT INTO chat.conversations (id, first_id, second_id, last_seq, last_id, last_at, month, created_at)
    SELECT id, first_id, second_id, count, last_id, to_timestamp(last_at), date_trunc('month', to_timestamp(last_at)),
        to_timestamp(started)
    FROM bench.talk;
INSERT INTO chat.cursors (conversation_id, user_id, read_seq, delivered_seq)
    SELECT id, who, CASE who WHEN second_id THEN count - unread ELSE count END, count
    FROM bench.talk, unnest(ARRAY[first_id, second_id]) who WHERE first_id IS NOT NULL
    UNION ALL SELECT id, bench.member(n, nth, $1::bigint), count - unread, count
    FROM bench.talk, generate_series(0, members - 1) nth WHERE members > 0;
"""
IN_MONTH = """
SELECT *, greatest(1, ceil(count * (($1::float8 - started) / lasted) + 0.5))::bigint AS first_seq,
    least(count, ceil(count * (($2::float8 - started) / lasted) + 0.5) - 1)::bigint AS last_seq
FROM bench.talk WHERE started < $2 AND started + lasted >= $1
"""
MONTHS = f"""
INSERT INTO chat.conversation_months (conversation_id, month, first_seq, last_seq)
SELECT id, to_timestamp($1)::date, first_seq, last_seq FROM ({IN_MONTH}) t WHERE first_seq <= last_seq
"""
MESSAGES = f"""
INSERT INTO chat.a_month (id, conversation_id, seq, sender_id, receiver_id, ciphertext, nonce, status, "timestamp")
SELECT bench.id(noise, at), id, seq, CASE WHEN members > 0 THEN bench.member(n, die % members, $3::bigint)
        WHEN die % 2 = 0 THEN first_id ELSE second_id END,
    CASE WHEN members = 0 THEN CASE WHEN die % 2 = 0 THEN second_id ELSE first_id END END,
    noise || noise || noise || noise, substr(noise, 1, 24),
    CASE WHEN members = 0 AND seq <= count - unread THEN 'read' ELSE 'sent' END, to_timestamp(at)
FROM (
    SELECT t.id, t.n, t.members, t.count, t.unread, t.first_id, t.second_id, seq, bench.noise(n, seq) AS noise,
        floor(1000003 * bench.chance(n * 1000000 + seq, 10))::bigint AS die,
        greatest($1, least($2 - 0.001, started + lasted * ((seq - 0.5) / count))) AS at
    FROM ({IN_MONTH}) t, generate_series(t.first_seq, t.last_seq) seq ORDER BY at
) m
"""
PARTS = """
SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'chat.messages'::regclass ORDER BY 1
"""
PLAIN = """
SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::text::regclass AND NOT i.indisprimary
"""
LOADED = """
SELECT fingerprint, ends, (SELECT sum(c.reltuples)::bigint FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'chat.messages'::regclass) AS messages
FROM bench.loaded
"""
MOST = 1.1  # times what was filled in, which the sends of many runs come to
KEY = "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'p'"


@dataclass(frozen=True)
class Size:
    """How much there is to be."""

    users: int = 100_000
    pairs: int = 250_000
    groups: int = 2_000
    messages: int = 10_000_000

    @classmethod
    def asked(cls) -> "Size":
        """All of it, or that share of it which ENTREPOT_BENCH_SCALE says, for a trial."""
        factor = float(os.environ.get("ENTREPOT_BENCH_SCALE", "1"))
        return cls(*(max(1, int(n * factor)) for n in asdict(cls()).values()))


def users(size: Size, end: datetime) -> Iterator[tuple[str, str | None, str, datetime]]:
    """Wallets and keys, two of three with a name."""
    rng, words = random.Random(16), vocabulary()
    for n in range(size.users):
        wallet = to_checksum_address(f"0x{rng.getrandbits(160):040x}")
        name = f"{rng.choice(words)} {rng.choice(words)}".title()[:50] if n % 3 else None
        key = b64encode(hashlib.sha256(wallet.encode()).digest()).decode()
        yield wallet, name, key, end - SPAN * (1 - n / size.users)


async def fill(dsn: str, size: Size, end: datetime) -> None:
    """Everything, in a database that is migrated and empty; the months by two at a time."""
    bounds = (end - SPAN).timestamp(), end.timestamp()
    db = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    await db.copy_records_to_table("users", schema_name="chat", columns=COLUMNS, records=users(size, end))
    await db.execute(PREPARE)
    await db.execute(TALKS, size.users, size.pairs, size.groups, size.messages, *bounds)
    await _in_turn(db, NUMBERED, bounds[1])
    await _in_turn(db, ROOMS, size.users)
    await _in_turn(db, PLACES, size.users)
    await db.execute("ANALYZE bench.talk")
    async with Database(dsn, Settings()) as owner, owner.write() as door:
        await partitions.cover(door, APP, APP.partitions["messages"], end - SPAN, end + timedelta(days=40))
    parts = [(row["name"], row["bound"]) for row in await db.fetch(PARTS)]
    for name, _ in parts:
        await db.execute(f"ALTER TABLE chat.messages DETACH PARTITION chat.{name}")
    waiting = [name for name, _ in parts]

    async def worker() -> None:
        own = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
        while waiting:
            await month(own, waiting.pop(0), size, end)
        await own.close()

    await asyncio.gather(worker(), worker())
    for name, bound in parts:
        await db.execute(f"ALTER TABLE chat.messages ATTACH PARTITION chat.{name} {bound}")
    for table in ("users", "groups", "group_members", "conversations", "cursors", "conversation_months"):
        await db.execute(f"VACUUM (ANALYZE, FREEZE) chat.{table}")
    await db.execute("ANALYZE chat.messages")
    await db.close()


async def _in_turn(db: asyncpg.Connection, statements: str, *values: object) -> None:
    for each in statements.split(";\n"):
        if each.strip():
            await db.execute(each, *(values if "$1" in each else ()))


async def month(db: asyncpg.Connection, name: str, size: Size, end: datetime) -> None:
    """The messages of one partition, which is detached; its indexes are built last."""
    began = time.monotonic()
    lower = datetime.strptime(name, "messages_%Y_%m").replace(tzinfo=UTC)
    upper = min(end, (lower + timedelta(days=31)).replace(day=1))
    if upper > lower:
        indexes, key = await db.fetch(PLAIN, f"chat.{name}"), await db.fetchval(KEY, f"chat.{name}")
        async with db.transaction():
            await db.execute(f"TRUNCATE chat.{name}")
            for index in indexes:
                await db.execute(f"DROP INDEX chat.{index['name']}")
            await db.execute(f"ALTER TABLE chat.{name} DROP CONSTRAINT {key}")
            await db.execute(MONTHS, lower.timestamp(), upper.timestamp())
            await db.execute(MESSAGES.replace("a_month", name), lower.timestamp(), upper.timestamp(), size.users)
            await db.execute(f"ALTER TABLE chat.{name} ADD CONSTRAINT {key} PRIMARY KEY (id)")
            for index in indexes:
                await db.execute(index["definition"])
    await db.execute(f"VACUUM (ANALYZE, FREEZE) chat.{name}")
    print(f"  {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


async def _empty(cluster: postgres.Server, name: str) -> str:
    admin = await asyncpg.connect(cluster.get_uri("postgres"))
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    dsn: str = cluster.get_uri(name)
    await migrate.up(dsn, find_apps(), ROLE)
    return dsn


async def _fingerprint(dsn: str, size: Size) -> str:
    db = await asyncpg.connect(dsn)
    shape = await db.fetchval(SHAPE)
    await db.close()
    return hashlib.sha256(f"{VERSION} {asdict(size)} {shape}".encode()).hexdigest()[:32]


async def _held(cluster: postgres.Server) -> asyncpg.Record | None:
    """The fingerprint of what is there, when it ends, and how much it is by now."""
    try:
        db = await asyncpg.connect(cluster.get_uri(NAME))
    except asyncpg.InvalidCatalogNameError:
        return None
    try:
        return await db.fetchrow(LOADED)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return None
    finally:
        await db.close()


async def _fill(cluster: postgres.Server, size: Size) -> None:
    """What is there is taken as it is where it has today's schema, and ends in the month in which messages come."""
    held, wanted = await _held(cluster), await _fingerprint(await _empty(cluster, TRIAL), size)
    began, end = time.monotonic(), datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if held is not None:
        is_of_this_month = held["ends"].replace(day=1) == end.replace(day=1)
        if held["fingerprint"] == wanted and is_of_this_month and held["messages"] < MOST * size.messages:
            return
    dsn = await _empty(cluster, NAME)
    await fill(dsn, size, end)
    db = await asyncpg.connect(dsn)
    await db.execute("CREATE TABLE bench.loaded (fingerprint text, ends timestamptz)")
    await db.execute("INSERT INTO bench.loaded VALUES ($1, $2)", wanted, end)
    await db.execute("CHECKPOINT")
    await db.close()
    print(f"  filled in {time.monotonic() - began:.0f} s", file=sys.stderr)


def ready(folder: Path) -> None:
    """Fills the database in that cluster if need be; the cluster is stopped again."""
    if os.environ.get("ENTREPOT_BENCH_AS_IS") == "1":
        return
    with postgres.started(folder, HASTE) as cluster:
        asyncio.run(_fill(cluster, Size.asked()))
    os.sync()
