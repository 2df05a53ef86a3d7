"""A real worker at work in a house that is watched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import asyncpg

from entrepot.dev.anvil import Anvil
from entrepot.kernel.app import App
from entrepot.kernel.core import CORE
from entrepot.kernel.db.database import Database
from entrepot.kernel.supply import Resources
from entrepot.kernel.work.runner import Worker
from entrepot.kernel.work.task import Task
from entrepot.main import House
from tests.kernel.monitor.watch import Watch

EVERY_SECOND = "* * * * * *"


@dataclass
class Place:
    """As much of a house as a worker sees, with other apps in it."""

    house: House
    apps: tuple[App, ...]

    @property
    def database(self) -> Database:
        return self.house.database

    @property
    def resources(self) -> Resources:
        return self.house.resources


@asynccontextmanager
async def working(place: Place) -> AsyncIterator[None]:
    work = asyncio.create_task(Worker(place).run())
    try:
        yield
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def run_once(watch: Watch, declared: Task, owner: asyncpg.Connection) -> None:
    """By a real worker, whose clock ticks every second."""
    runs = "SELECT count(*) FROM core.cron_ticks WHERE task = $1 AND finished_at IS NOT NULL"
    before = await owner.fetchval(runs, declared.name)
    at_work = Place(watch.house, (replace(CORE, tasks=(replace(declared, cron=EVERY_SECOND),), services=()),))
    async with working(at_work):
        while await owner.fetchval(runs, declared.name) == before:
            await asyncio.sleep(0.05)


async def caught_up(place: Place, node: Anvil, owner: asyncpg.Connection) -> None:
    """Mirrors until nothing is missing."""
    head = await node.rpc.head()
    behind = "SELECT count(*) < 2 OR bool_or(last_block < $1) FROM escrow.event_sync_cursor"
    async with working(place):
        while await owner.fetchval(behind, head - 1):
            await asyncio.sleep(0.05)
