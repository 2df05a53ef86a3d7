"""Fills a database that has the escrow schema with a believable market, once, and recognises it afterwards."""

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import asdict

import asyncpg

from bench import rows
from bench.rows import Size

VERSION = 2
PROFILE_COLUMNS = (
    "wallet display_name public_key reputation_score total_trades total_as_buyer total_as_seller rating tier "
    "is_blacklisted created_at updated_at"
).split()
PRODUCT_COLUMNS = (
    "id seller_wallet title_preview description_preview category price_usdt stock total_sold product_hash status "
    "created_at updated_at deleted_at"
).split()

SHAPE = """
SELECT coalesce(string_agg(line, chr(10) ORDER BY line), '') FROM (
    SELECT format('%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull) AS line
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'escrow'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'escrow'
) shape
"""
PLAIN_INDEXES = """
SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = 'escrow'::regnamespace AND i.indrelid = ANY($1::text[]::regclass[])
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
ORDER BY i.indrelid DESC, 1
"""
FILLED = [f"escrow.{table}" for table in ("user_profiles", "products", "words", "orders", "messages")]

NUMBERED = """
CREATE SCHEMA IF NOT EXISTS bench;
DROP TABLE IF EXISTS bench.product, bench.profile;
CREATE UNLOGGED TABLE bench.profile AS
    SELECT row_number() OVER (ORDER BY created_at, wallet) - 1 AS n, wallet FROM escrow.user_profiles;
CREATE UNLOGGED TABLE bench.product AS
    SELECT row_number() OVER (ORDER BY created_at, id) - 1 AS n, id, seller_wallet, price_usdt FROM escrow.products;
CREATE OR REPLACE FUNCTION bench.chance(n bigint, salt bigint) RETURNS float8 IMMUTABLE PARALLEL SAFE LANGUAGE sql
    RETURN (hashint8extended(n, salt) & 2147483647) / 2147483648.0;
CREATE OR REPLACE FUNCTION bench.uuid7(n bigint, salt text, moment timestamptz) RETURNS uuid IMMUTABLE PARALLEL SAFE
    LANGUAGE sql RETURN (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(salt || n), 1, 3) || '8' || substr(md5(salt || n), 4, 15))::uuid;
"""

# What the trigger would have noted.
WORDS = """
INSERT INTO escrow.words
SELECT DISTINCT unnest(escrow.words_of(title_preview || ' ' || description_preview)) FROM escrow.products
"""

ORDERS = """
INSERT INTO escrow.orders (id, onchain_order_id, chain, buyer_wallet, seller_wallet, product_id, token, amount,
    platform_fee, status, tx_hash_create, block_number, seller_deadline, release_deadline, seller_confirmed_at,
    completed_at, created_at, updated_at)
SELECT bench.uuid7(o.n, 'order', o.moment), o.n + 1, (ARRAY['bsc','bsc','arbitrum','base','ethereum'])[1 + o.n % 5]
        ::escrow.chain_type, b.wallet, p.seller_wallet, p.id,
    (CASE WHEN o.n % 4 = 0 THEN 'USDC' ELSE 'USDT' END)::escrow.token_type, p.price_usdt, round(p.price_usdt * 0.02, 6),
    o.status::escrow.order_status, '0x' || encode(sha256(int8send(o.n)), 'hex'), o.n + 1000000,
    o.moment + interval '24 hours',
    CASE WHEN o.status IN ('seller_confirmed', 'completed', 'disputed') THEN o.moment + interval '75 hours' END,
    CASE WHEN o.status IN ('seller_confirmed', 'completed', 'disputed') THEN o.moment + interval '3 hours' END,
    CASE WHEN o.status = 'completed' THEN o.moment + interval '9 hours' END, o.moment, o.moment + interval '9 hours'
FROM (
    SELECT n, $1::timestamptz + ($2::timestamptz - $1::timestamptz) * (n::float8 / $5) AS moment,
        floor($3::bigint * (n::float8 / $5::bigint) * sqrt(bench.chance(n, 1)))::bigint AS product,
        floor($4::bigint * power(bench.chance(n, 2), 2))::bigint AS buyer,
        CASE WHEN n > $5::bigint * 0.995 AND bench.chance(n, 4) < 0.6
            THEN (ARRAY['created', 'seller_confirmed', 'seller_confirmed', 'disputed'])[1 + n % 4]
            WHEN bench.chance(n, 3) < 0.88 THEN 'completed' WHEN bench.chance(n, 3) < 0.93 THEN 'cancelled'
            WHEN bench.chance(n, 3) < 0.97 THEN 'expired' WHEN bench.chance(n, 3) < 0.985 THEN 'resolved_buyer'
            ELSE 'resolved_seller' END AS status
    FROM generate_series(0::bigint, $5::bigint - 1) n OFFSET 0
) o
JOIN bench.product p ON p.n = o.product
JOIN bench.profile c ON c.n = o.buyer
JOIN bench.profile b ON b.n = CASE WHEN c.wallet = p.seller_wallet THEN (o.buyer + 1) % $4::bigint ELSE o.buyer END
ORDER BY o.n
"""
NUMBERED_ORDERS = """
DROP TABLE IF EXISTS bench.deal;
CREATE UNLOGGED TABLE bench.deal AS
    SELECT onchain_order_id - 1 AS n, id, buyer_wallet, seller_wallet FROM escrow.orders;
"""
# One message in five goes to every hundredth order, which so gets about 100; the others get about 4.
MESSAGES = """
INSERT INTO escrow.messages (id, order_id, sender_wallet, ciphertext, nonce, created_at)
SELECT bench.uuid7(m.n, 'message', m.moment), d.id,
    CASE WHEN bench.chance(m.n, 6) < 0.5 THEN d.buyer_wallet ELSE d.seller_wallet END,
    m.noise || reverse(m.noise), left(m.noise, 32), m.moment
FROM (
    SELECT n, $1::timestamptz + ($2::timestamptz - $1::timestamptz) * (n::float8 / $3) AS moment,
        left(replace(encode(sha512(int8send(n)), 'base64'), chr(10), ''), 86) AS noise,
        CASE WHEN n % 5 = 0 THEN o / 100 * 100 ELSE o END AS deal
    FROM generate_series($5::bigint, $6::bigint) n,
        LATERAL (SELECT n::float8 / $3::bigint * $4::bigint - bench.chance(n, 5) * 2000 AS place) p,
        LATERAL (SELECT greatest(0, floor(p.place)::bigint) AS o) x OFFSET 0
) m
JOIN bench.deal d ON d.n = m.deal
ORDER BY m.n
"""


def fingerprint(shape: str, size: Size) -> str:
    """What the loaded data depends on: schema, sizes, seed and the generator's version."""
    return hashlib.sha256(f"{VERSION} {rows.VERSION} {asdict(size)} {shape}".encode()).hexdigest()[:32]


async def shape(connection: asyncpg.Connection) -> str:
    """Columns and indexes of the escrow schema, as text."""
    return str(await connection.fetchval(SHAPE))


async def stored(connection: asyncpg.Connection) -> str | None:
    """The fingerprint that the last complete load left behind."""
    if await connection.fetchval("SELECT to_regclass('bench.loaded')") is None:
        return None
    found: str | None = await connection.fetchval("SELECT fingerprint FROM bench.loaded")
    return found


async def chunks(lines: Iterable[bytes], tell: Callable[[int], None]) -> AsyncIterator[bytes]:
    """Join CSV lines into pieces of a thousand for COPY."""
    piece: list[bytes] = []
    for count, line in enumerate(lines, 1):
        piece.append(line)
        if len(piece) == 1_000:
            yield b"".join(piece)
            piece.clear()
            if count % 100_000 == 0:
                tell(count)
    yield b"".join(piece)


async def copy(connection: asyncpg.Connection, table: str, columns: list[str], lines: Iterator[bytes]) -> None:
    """COPY generated CSV lines into one table of the schema."""

    def tell(count: int) -> None:
        print(f"  {table}: {count:,} rows", file=sys.stderr)

    await connection.copy_to_table(
        table, schema_name="escrow", columns=columns, source=chunks(lines, tell), format="csv"
    )


async def messages(dsn: str, size: Size) -> None:
    """Fill messages over two connections, one for each half of the two years."""

    async def half(first: int, last: int) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(MESSAGES, rows.START, rows.END, size.messages, size.orders, first, last)
        await connection.close()

    middle = size.messages // 2
    await asyncio.gather(half(0, middle - 1), half(middle, size.messages - 1))


async def build(dsn: str, definitions: list[str]) -> None:
    """Create the indexes again, two at a time."""
    waiting = list(reversed(definitions))

    async def worker() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("SET max_parallel_maintenance_workers = 0")
        while waiting:
            await connection.execute(waiting.pop())
        await connection.close()

    await asyncio.gather(worker(), worker())


async def fill(dsn: str, size: Size) -> None:
    """Empty the four tables and fill them: plain indexes are dropped first and built again last."""
    began = time.monotonic()
    connection = await asyncpg.connect(dsn)
    loaded = fingerprint(await shape(connection), size)
    indexes = await connection.fetch(PLAIN_INDEXES, FILLED)
    await connection.execute(NUMBERED.split(";")[0])
    await connection.execute("DROP TABLE IF EXISTS bench.loaded")
    for index in indexes:
        await connection.execute(f"DROP INDEX escrow.{index['name']}")
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(f"TRUNCATE {', '.join(FILLED)} CASCADE")
    await copy(connection, "user_profiles", PROFILE_COLUMNS, rows.profiles(size))
    await copy(connection, "products", PRODUCT_COLUMNS, rows.products(size))
    await connection.execute(WORDS)
    await connection.execute(NUMBERED)
    await connection.execute(ORDERS, rows.START, rows.END, size.products, size.profiles, size.orders)
    await connection.execute(NUMBERED_ORDERS)
    await messages(dsn, size)
    await build(dsn, [index["definition"] for index in indexes])
    await connection.execute("VACUUM (ANALYZE, FREEZE)")
    await connection.execute("DROP TABLE bench.product, bench.profile, bench.deal")
    await connection.execute(f"CREATE TABLE bench.loaded AS SELECT '{loaded}'::text AS fingerprint")
    await connection.close()
    print(f"  filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
