"""The nightly run in a process that the fault tests may kill, and the old data that it finds."""

import asyncio
from datetime import timedelta

import asyncpg

from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.core import CORE
from entrepot.kernel.db.doors import Write
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.archive.refusals import RetentionRunning
from entrepot.kernel.upkeep.retention import RetentionFailed, RetentionRun, Run, alone
from entrepot.main import House

LEASE = timedelta(seconds=0.6)
TRADERS = "INSERT INTO escrow.user_profiles (wallet, public_key) VALUES ('0xa', ''), ('0xb', '')"
ORDERS = """
    INSERT INTO escrow.orders (id, onchain_order_id, chain, buyer_wallet, seller_wallet, product_id, token, amount,
        platform_fee, status, tx_hash_create, seller_deadline, block_number, created_at, updated_at)
    SELECT md5(i::text)::uuid, i, 'ethereum', '0xb', '0xa', gen_random_uuid(), 'USDT', 5, 0.1, 'completed', '0x',
        now(), 1, now() - interval '3 years', now() - interval '2 years' FROM generate_series(1, 500) i
"""
MESSAGES = """
    INSERT INTO escrow.messages (id, order_id, sender_wallet, ciphertext, nonce, created_at)
    SELECT gen_random_uuid(), md5((1 + i % 500)::text)::uuid, '0xa', repeat(md5(i::text), 6), md5(i::text),
        now() - interval '3 years' * i / $1 FROM generate_series(1, $1::bigint) i
"""
METRICS = """
    INSERT INTO core.system_metrics
    SELECT gen_random_uuid(), 'web-api', 'latency', random() * 100, 'ms', now() - interval '3 years' * i / $1,
        CASE i % 3 WHEN 0 THEN jsonb_build_object('i', i, 'q', '"') END FROM generate_series(1, $1::bigint) i
"""
FOUND = """
    SELECT count(*) + (
        SELECT coalesce(sum(CASE state WHEN 'removed' THEN rows ELSE position END - cardinality(spared)), 0)
        FROM core.archives WHERE state IN ('removing', 'removed') AND table_name = '{1}'
    ) FROM {0}.{1}
"""
IMAGE = "SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {} t"


async def fill(owner: asyncpg.Connection, messages: int, metrics: int) -> None:
    """Three years of messages, of orders that ended two years ago, and of metrics. Products are left out."""
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(TRADERS)
    await owner.execute(ORDERS)
    await owner.execute(MESSAGES, messages)
    await owner.execute("RESET session_replication_role")
    async with owner.transaction():
        now = clock.now()
        declared = CORE.partitions["system_metrics"]
        await partitions.cover(Write(owner), CORE, declared, now - timedelta(days=3 * 366), now)
    await owner.execute(METRICS, metrics)
    await owner.execute("ANALYZE escrow.messages, escrow.orders, core.system_metrics")


async def found(owner: asyncpg.Connection) -> tuple[int, int]:
    """How many messages and metrics are in the database or have left it into an archive."""
    async with owner.transaction(isolation="repeatable_read"):
        messages = await owner.fetchval(FOUND.format("escrow", "messages"))
        return int(messages), int(await owner.fetchval(FOUND.format("core", "system_metrics")))


async def images(owner: asyncpg.Connection) -> list[tuple[int, object]]:
    """Count and sum of the hashes of all rows: what every row makes the same, in whatever order."""
    return [tuple(await owner.fetchrow(IMAGE.format(each))) for each in ("escrow.messages", "core.system_metrics")]


async def run(settings: Settings, rows: int) -> RetentionRun:
    """One run to its end, after whoever was killed has lost the lease."""
    async with House(settings) as house:
        while True:
            try:
                async with alone(house.database, LEASE):
                    work = Run(house.database, house.archives, Apps(house.apps), settings, now=clock.now(), rows=rows)
                    return await work()
            except (RetentionRunning, RetentionFailed):  # its lease is short, and lost on a busy machine
                continue


def retain(settings: Settings, rows: int) -> None:
    """The process: one run."""
    asyncio.run(run(settings, rows))
