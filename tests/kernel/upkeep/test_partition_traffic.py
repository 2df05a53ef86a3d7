"""A busy table of 24 months: old ones are archived, proven, detached and dropped, new ones made, and nobody waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import monotonic
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP

from entrepot.kernel.app import Apps, Expire, Partitioned, Period
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.archive import restoring
from tests.conftest import ROLE, TestDatabase
from tests.kernel.upkeep.attic import APP, NOW, Attic, opened

DAY = timedelta(days=1)
A_MONTH = 2_000
METADATA = sa.MetaData(schema="attic")
sa.Table(
    "letters",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("timestamp", TIMESTAMP(timezone=True), primary_key=True),
)
SQL = """
    CREATE TABLE attic.letters (id uuid NOT NULL, sender bigint NOT NULL, receiver bigint, ciphertext bytea NOT NULL,
        status text NOT NULL DEFAULT 'sent', timestamp timestamptz NOT NULL, PRIMARY KEY ({unique}))
        PARTITION BY RANGE ({key});
    CREATE INDEX ON attic.letters (sender, receiver);
    CREATE INDEX ON attic.letters (receiver, sender);
    CREATE INDEX ON attic.letters (timestamp DESC);
    CREATE INDEX ON attic.letters (status);
    CREATE INDEX ON attic.letters (receiver, status) WHERE status <> 'read';
    GRANT SELECT, INSERT, UPDATE ON attic.letters TO {role};
"""
UNIQUE = {"timestamp": "id, timestamp", "id": "id"}
OLD = """
    INSERT INTO attic.letters SELECT (left(core.least_id(at)::text, 24) || lpad(to_hex(i), 12, '0'))::uuid, i % 97, 0,
        decode(md5(i::text), 'hex'), 'read', at
    FROM generate_series(1, $2::bigint) i, LATERAL (SELECT $1::timestamptz - interval '24 months' * i / $2 AS at) a
"""
FIRST = "INSERT INTO attic.letters VALUES (core.least_id($1), 1, 0, '\\x00', 'sent', $1)"
FIRST_KEPT = partitions.begin(Period.MONTH, NOW - 365 * DAY)  # of the months that stay, to the microsecond
NEW = "INSERT INTO attic.letters VALUES ($1, 1, 2, '\\x00', 'sent', $2)"
READ = "UPDATE attic.letters SET status = 'read' WHERE id = $1 AND timestamp = $2"
IMAGE = "SELECT t::text FROM attic.letters t WHERE receiver = 0 ORDER BY id"
SENT = "SELECT count(*) FROM attic.letters WHERE receiver = 2"


def sent_at_once(number: int) -> UUID:
    """An id of version 7, as whoever sends that letter makes it."""
    return UUID(int=int(NOW.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | number)


@dataclass
class Traffic:
    """What four writers saw: how many letters they sent, and how long the slowest took."""

    ids: "count[int]" = field(default_factory=lambda: count(1))
    sent: int = 0
    longest: float = 0.0
    is_over: bool = False


async def send(attic: Attic, traffic: Traffic) -> None:
    """One writer: a letter after the other, every third of them read at once. What fails, fails the test."""
    connection = await asyncpg.connect(attic.database.url)
    while not traffic.is_over:
        letter, began = next(traffic.ids), monotonic()
        async with connection.transaction():
            await connection.execute(NEW, sent_at_once(letter), NOW)
            if letter % 3 == 0:
                await connection.execute(READ, sent_at_once(letter), NOW)
        traffic.sent += 1
        traffic.longest = max(traffic.longest, monotonic() - began)
        await asyncio.sleep(0.002)
    await connection.close()


@asynccontextmanager
async def busy(attic: Attic) -> AsyncIterator[Traffic]:
    """Four writers at work, and a reader whose transaction stays open for longer than a drop waits."""
    traffic = Traffic()

    async def linger() -> None:
        async with attic.owner.transaction():
            await attic.owner.fetchval("SELECT count(*) FROM attic.letters")
            await asyncio.sleep(2)

    tasks = [asyncio.create_task(each) for each in (*(send(attic, traffic) for _ in range(4)), linger())]
    await asyncio.sleep(0.2)
    yield traffic
    traffic.is_over = True
    await asyncio.gather(*tasks)


@pytest.fixture(params=list(UNIQUE))
async def attic(request: pytest.FixtureRequest, database: TestDatabase, tmp_path: Path) -> AsyncIterator[Attic]:
    """The attic with nothing but letters, of 24 months, by their times or by their ids."""
    key = request.param
    monthly = Partitioned(table="letters", key=key, period=Period.MONTH, horizon=timedelta(days=40))
    rule = Expire(timedelta(days=365), key)
    letters = replace(APP, tables=METADATA, partitions={"letters": monthly}, retention={"letters": rule})
    async with opened(database, tmp_path) as made:
        made.apps = Apps((letters,))
        await made.owner.execute(SQL.format(key=key, unique=UNIQUE[key], role=ROLE))
        async with made.database.write() as db:
            await partitions.cover(db, letters, monthly, NOW - 730 * DAY, NOW)
        await made.owner.execute(OLD, NOW, 24 * A_MONTH)
        await made.owner.execute(FIRST, FIRST_KEPT)
        yield made


async def test_months_leave_and_come_while_four_write_and_none_of_them_waits(attic: Attic) -> None:
    before = await attic.owner.fetch(IMAGE)
    async with busy(attic) as traffic:
        run = await attic.run()
        made = await attic.partitions(NOW + 60 * DAY)
    assert (run.dropped_partitions, run.failures) == (12, [])
    assert len(made) == 3
    assert traffic.sent > 100
    assert traffic.longest < 1.0, "who drops a month gives way to who writes"
    assert await attic.owner.fetchval(SENT) == traffic.sent
    for archive in await attic.ledger():
        await restoring.restore(attic.database, attic.archives, attic.apps, archive["id"])
    assert await attic.owner.fetch(IMAGE) == before
