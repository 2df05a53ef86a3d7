"""Processes of the market that the fault tests may kill: forked from one that has imported everything, so quick.

A process that is started by its command needs two seconds until it works; one that is forked, a fifth of one.
"""

import asyncio
import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

from entrepot import cli
from entrepot.apps.escrow.operations.keeper import keep_time
from entrepot.dev.process import die_with_parent
from entrepot.kernel.http.serving import server_of
from entrepot.kernel.settings import Settings
from entrepot.kernel.work.runner import Worker
from entrepot.main import House
from entrepot.web import web

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload([__name__])
LEASE = timedelta(seconds=1)


def serve(settings: Settings) -> None:
    """The HTTP server."""

    async def run() -> None:
        await server_of(web(settings), settings.port).serve()

    asyncio.run(run())


def work(settings: Settings) -> None:
    """The worker's services: the mirrors. Its tasks come when the test calls them, and not by the clock."""

    async def run() -> None:
        async with House(settings) as house:
            worker = Worker(house, lease=LEASE)
            worker.tasks.clear()
            await worker.run()

    asyncio.run(run())


def keep(settings: Settings) -> None:
    """One round of the keeper."""

    async def run() -> None:
        async with House(settings) as house:
            await keep_time(house.database, house.chains, house.vault)

    asyncio.run(run())


def command(arguments: Sequence[str], environment: Mapping[str, str], says: Path) -> None:
    """`entrepot` with these arguments; what it prints goes to a file, and its exit status is the process's."""
    os.environ.update(environment)
    with says.open("w") as said:
        sys.stdout = said
        cli.main(arguments)


def forked(target: Callable[..., None], log: Path, *arguments: object) -> BaseProcess:
    """A process that does it, started; it ends with whoever started it."""
    process = FORK.Process(target=_child, args=(target, log, *arguments), daemon=True)
    process.start()
    return process


def _child(target: Callable[..., None], log: Path, *arguments: object) -> None:
    bind = die_with_parent(os.getppid())
    if bind is not None:
        bind()
    with log.open("a") as said:
        os.dup2(said.fileno(), 2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    target(*arguments)
