"""Behind PgBouncer in transaction mode everything works, with fewer connections than callers."""

import asyncio

import aiohttp
import asyncpg

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.values import new_id
from tests.conftest import TestDatabase, served, settings_for
from tests.pooler import SERVERS, pooled

ADD = Query("INSERT INTO core.leases (name, owner, expires_at) VALUES (:name, :owner, now())")
MINE = Query("SELECT owner FROM core.leases WHERE name = :name")
ECHO = Query("SELECT :number::int")


async def test_forty_callers_share_three_connections_and_none_gets_the_answer_of_another(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    async def trade(pool: Database, number: int) -> None:
        for turn in range(10):
            name, by = f"{number} {turn}", new_id()
            async with pool.write() as db:
                await db.run(ADD, name=name, owner=by)
            async with pool.read() as db:
                assert await db.value(ECHO, number=number) == number
                assert await db.value(MINE, name=name) == by

    with pooled(database) as behind:
        settings = settings_for(behind, pool_size=40)
        async with Database(behind.url, settings) as pool:
            await asyncio.gather(*(trade(pool, number) for number in range(40)))
            used = await owner.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert 1 <= used <= SERVERS
    assert await owner.fetchval("SELECT count(*) FROM core.leases") == 400


async def test_the_server_answers_from_behind_it(database: TestDatabase) -> None:
    with pooled(database) as behind:
        async with served(settings_for(behind)) as url, aiohttp.ClientSession() as http:

            async def ask() -> int:
                async with http.get(f"{url}/api/v1/escrow/products") as answer:
                    await answer.read()
                    return answer.status

            assert set(await asyncio.gather(*(ask() for _ in range(100)))) == {200}
