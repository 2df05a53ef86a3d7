"""Worker processes for the tests: `python -m tests.kernel.work.laborers NAME` works until it is ended."""

import asyncio
import os
import sys
from dataclasses import dataclass
from datetime import timedelta

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.settings import Settings
from entrepot.kernel.work.runner import Worker
from entrepot.kernel.work.task import Service, Task

LEASE = timedelta(seconds=1.5)
MARK = Query("INSERT INTO public.marks (worker, what) VALUES (:worker, :what)")
EVERY_SECOND = "* * * * * *"


@dataclass(frozen=True)
class Declared:
    tasks: tuple[Task, ...] = ()
    services: tuple[Service, ...] = ()


class House:
    """As much of a house as the worker needs; `Settings` carry the worker's name as their domain."""

    def __init__(self, database: Database, *apps: Declared) -> None:
        self.database, self.apps = database, apps
        self.resources = {Database: database, Settings: database.settings}


async def tick(db: Write, settings: Settings) -> None:
    await db.run(MARK, worker=settings.domain, what="tick")


async def serve(database: Database, settings: Settings, item: str) -> None:
    while True:
        async with database.write() as db:
            await db.run(MARK, worker=settings.domain, what=item)
        await asyncio.sleep(0.05)


def labor() -> Declared:
    return Declared(
        tasks=(Task(name="test.tick", cron=EVERY_SECOND, run=tick),),
        services=(Service(name="test.serve", run=serve, over=lambda: ("left", "right")),),
    )


async def main(name: str) -> None:
    settings = Settings(database_url=os.environ["DATABASE_URL"], domain=name, pool_size=4)
    async with Database(settings.database_url, settings) as database:
        await Worker(House(database, labor()), lease=LEASE).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
