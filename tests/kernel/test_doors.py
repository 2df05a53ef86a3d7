"""The two doors: `Read` refuses to write, `Write` is one transaction, JSON passes through untouched."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import asyncpg
import msgspec
import pytest

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import NoRow, Read, WritingRead
from entrepot.kernel.db.query import Query
from entrepot.kernel.refusal import Forbidden
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet
from tests.conftest import TestDatabase, settings_for

ADD = Query("INSERT INTO core.leases (name, owner, expires_at) VALUES (:name, :owner, now())")
COUNT = Query("SELECT count(*) FROM core.leases")
LEASES = Query("SELECT name, owner FROM core.leases ORDER BY name")
LEASE = Query("SELECT name, owner FROM core.leases WHERE name = :name")
LOCK = Query("SELECT name, owner FROM core.leases FOR UPDATE")


class Lease(msgspec.Struct, frozen=True):
    name: str
    owner: UUID


@dataclass(frozen=True)
class Priced:
    wallet: Wallet
    price: Decimal


@pytest.fixture
async def pool(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database(database.url, settings_for(database)) as made:
        yield made


@pytest.mark.parametrize("call", ["rows", "all", "maybe", "one", "value", "json"])
async def test_the_read_door_passes_no_statement_that_writes(pool: Database, call: str) -> None:
    async with pool.read() as db:
        given = {"name": "a", "owner": new_id()}
        kind = (Lease,) if call in ("all", "maybe", "one") else ()
        with pytest.raises(WritingRead, match="INSERT INTO core.leases"):
            await getattr(db, call)(*kind, ADD, **given)
        with pytest.raises(WritingRead):
            await db.all(Lease, LOCK)
        assert await db.value(COUNT) == 0


async def test_the_read_door_has_nothing_to_write_with(pool: Database) -> None:
    async with pool.read() as db:
        assert not {"run", "many", "copy"} & set(dir(db))


async def test_a_write_is_there_when_its_block_has_ended(pool: Database, owner: asyncpg.Connection) -> None:
    async with pool.write() as db:
        assert await db.run(ADD, name="a", owner=new_id()) == 1
        assert await db.value(COUNT) == 1
        assert await owner.fetchval(COUNT.sql) == 0
    assert await owner.fetchval(COUNT.sql) == 1


async def test_a_write_that_raises_is_rolled_back_whole(pool: Database, owner: asyncpg.Connection) -> None:
    async def fail() -> None:
        async with pool.write() as db:
            await db.run(ADD, name="a", owner=new_id())
            await db.run(ADD, name="a", owner=new_id())

    with pytest.raises(asyncpg.UniqueViolationError):
        await fail()
    assert await owner.fetchval(COUNT.sql) == 0


async def test_a_refusal_after_a_write_rolls_it_back(pool: Database, owner: asyncpg.Connection) -> None:
    async def refuse() -> None:
        async with pool.write() as db:
            await db.run(ADD, name="a", owner=new_id())
            raise Forbidden

    with pytest.raises(Forbidden):
        await refuse()
    assert await owner.fetchval(COUNT.sql) == 0


async def test_json_that_postgresql_made_is_not_touched(pool: Database) -> None:
    made = '{"b": 1.10,   "a":"é \\u20ac", "a": [1,2] }'
    async with pool.read() as db:
        assert await db.json(Query("SELECT :text::text::json"), text=made) == made.encode()
        row = await db.json(Query("SELECT row_to_json(t) FROM (SELECT 1.50::numeric AS price, 'x' AS name) t"))
        assert row == b'{"price":1.50,"name":"x"}'
        assert await db.json(Query("SELECT '1'::json WHERE false")) is None


async def test_rows_become_nouns(pool: Database) -> None:
    given = {name: new_id() for name in "ab"}
    async with pool.write() as db:
        await db.many(ADD, [{"name": name, "owner": id_} for name, id_ in given.items()])
        assert await db.all(Lease, LEASES) == [Lease(name, id_) for name, id_ in given.items()]
        assert await db.maybe(Lease, LEASE, name="a") == Lease("a", given["a"])
        assert await db.maybe(Lease, LEASE, name="c") is None
        priced = await db.one(Priced, Query("SELECT '0xAB' AS wallet, 1.50::numeric(18, 6) AS price"))
        assert priced == Priced(Wallet("0xAB"), Decimal("1.500000"))
        assert isinstance(priced.wallet, Wallet)
        with pytest.raises(NoRow, match="core.leases"):
            await db.one(Lease, LEASE, name="c")


async def test_rows_come_in_bulk(pool: Database) -> None:
    async with pool.write() as db:
        moment = await db.value(Query("SELECT now()"))
        rows = [(f"lease {number}", new_id(), moment) for number in range(5000)]
        await db.copy("core", "leases", ["name", "owner", "expires_at"], rows)
        assert await db.value(COUNT) == 5000


async def test_how_many_rows_were_touched_is_told(pool: Database) -> None:
    async with pool.write() as db:
        await db.many(ADD, [{"name": str(number), "owner": new_id()} for number in range(7)])
        assert await db.run(Query("DELETE FROM core.leases WHERE name < :name"), name="3") == 3
        assert await db.run(Query("DELETE FROM core.leases WHERE name = 'none'")) == 0


async def test_write_is_a_read(pool: Database) -> None:
    async with pool.write() as db:
        assert isinstance(db, Read)
        assert await db.all(Lease, LOCK) == []
