"""The worker: runs every task once at each of its times, and keeps every service running on one worker at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from entrepot.kernel import clock, tracing
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.supply import NotInHouse, Resources, supply, wants
from entrepot.kernel.work.cron import claim_tick, finish_tick, last_tick, next_tick
from entrepot.kernel.work.lease import held
from entrepot.kernel.work.task import Run, Service, Task

LOG = logging.getLogger("entrepot.work")
LEASE = timedelta(seconds=15)
LONGEST_PAUSE = 30.0  # seconds between two attempts at something that keeps failing
HEALTHY = 60.0  # seconds after which a service that fails is thought to have run well before


class BadWork(Exception):
    """A task or a service asks for something that the house has not; the worker does not start."""


class Declared(Protocol):
    """What the worker knows of an app."""

    @property
    def tasks(self) -> Sequence[Task]:
        """What runs at its times."""
        ...

    @property
    def services(self) -> Sequence[Service]:
        """What runs all the time."""
        ...


class Workplace(Protocol):
    """What the worker knows of a house."""

    database: Database

    @property
    def apps(self) -> Sequence[Declared]:
        """The applications that are turned on."""
        ...

    @property
    def resources(self) -> Resources:
        """What a task or a service may name as a parameter."""
        ...


class Job:
    """A function and what it needs of the house; a door is opened for each run. Raises `BadWork`."""

    def __init__(self, name: str, run: Run, house: Workplace, given: Mapping[str, type] | None = None) -> None:
        hints = wants(run)
        self.name, self.run, self.database = name, run, house.database
        self.doors = {each: kind for each, kind in hints.items() if kind in (Read, Write)}
        if len(self.doors) > 1:
            raise BadWork(f"{name} asks for {len(self.doors)} doors; one run has one")
        known = {**self.doors, **(given or {})}
        try:
            self.fixed = supply({each: kind for each, kind in hints.items() if each not in known}, house.resources)
        except NotInHouse as missing:
            raise BadWork(f"{name} needs {missing}, which the house has not") from None
        self.takes = frozenset(hints) & frozenset(given or {})

    async def __call__(self, **given: object) -> None:
        """One run. What a `Write` door wrote is committed when it ends well."""
        arguments = {**self.fixed, **{name: value for name, value in given.items() if name in self.takes}}
        for name, kind in self.doors.items():
            async with self.database.write() if kind is Write else self.database.read() as door:
                await self.run(**arguments, **{name: door})
            return
        await self.run(**arguments)


class Worker:
    """All tasks and services of a house. `lease` is how long a service waits for a worker that was killed."""

    def __init__(self, house: Workplace, *, lease: timedelta = LEASE) -> None:
        self.database, self.lease = house.database, lease
        self.tasks = [(task, Job(task.name, task.run, house)) for app in house.apps for task in app.tasks]
        self.services = [
            (f"{service.name}/{item}", item, Job(service.name, service.run, house, {"item": str}))
            for app in house.apps
            for service in app.services
            for item in _items(service, house)
        ]

    async def run(self) -> None:
        """Works until it is cancelled; then every service is ended and its lease given back."""
        LOG.info("working: %d tasks, %d services", len(self.tasks), len(self.services))
        async with asyncio.TaskGroup() as group:
            for task, job in self.tasks:
                group.create_task(self._keep_time(task, job), name=task.name)
            for name, item, job in self.services:
                group.create_task(self._keep_running(name, item, job), name=name)
            await asyncio.Event().wait()

    async def _keep_time(self, task: Task, job: Job) -> None:
        """One run at every tick. Of the ticks that nobody was there for, the last is made good, late."""
        tick = last_tick(task.cron, clock.now())
        while True:
            await _until(tick)
            await self._patiently(f"task {task.name}", lambda due=tick: self._tick(task, job, due))  # type: ignore[misc]
            tick = max(next_tick(task.cron, tick), last_tick(task.cron, clock.now()))

    async def _tick(self, task: Task, job: Job, tick: datetime) -> None:
        if not await claim_tick(self.database, task.name, tick):
            return
        failed: str | None = None
        try:
            with tracing.task(task.name):
                await job()
        except Exception as error:
            LOG.exception("task %s failed", task.name)
            failed = f"{type(error).__name__}: {error}"
        await self._patiently(f"task {task.name}", lambda: finish_tick(self.database, task.name, tick, failed))

    async def _patiently(self, what: str, act: Callable[[], Awaitable[None]]) -> None:
        """Does it, again and again while the database is away."""
        pause = 1.0
        while True:
            try:
                return await act()
            except Exception as error:  # noqa: BLE001 - whatever it is, the worker goes on
                LOG.warning("%s: %s; again in %.0f s", what, _told(error), pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _keep_running(self, name: str, item: str, job: Job) -> None:
        """The service, under its lease, started again whenever it fails, ends or loses the lease."""
        pause = 1.0
        while True:
            began = clock.now()
            why = await self._serve(name, item, job)
            pause = 1.0 if (clock.now() - began).total_seconds() > HEALTHY else pause
            LOG.warning("service %s: %s; again in %.0f s", name, why, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _serve(self, name: str, item: str, job: Job) -> str:
        """One life of a service; says how it ended. A lease that is lost cancels it, as does the end of the worker."""
        us = asyncio.current_task()
        assert us is not None
        try:
            async with held(self.database, name, self.lease):
                LOG.info("service %s runs here", name)
                await job(item=item)
        except asyncio.CancelledError as cancelled:
            if not str(cancelled).startswith("lost the lease"):
                raise
            us.uncancel()
            return str(cancelled)
        except Exception as error:
            if us.cancelling():  # it failed while it was being ended
                raise asyncio.CancelledError from error
            LOG.exception("service %s failed", name)
            return _told(error)
        return "it ended by itself"


def _items(service: Service, house: Workplace) -> tuple[str, ...]:
    """Over what it is spread here."""
    try:
        return service.over(**supply(wants(service.over), house.resources))
    except NotInHouse as missing:
        raise BadWork(f"{service.name} is spread over what the house has not: {missing}") from None


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


async def _until(moment: datetime) -> None:
    """Waits in short stretches, so that a clock that is set is noticed."""
    while (left := (moment - clock.now()).total_seconds()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left, 30.0))
