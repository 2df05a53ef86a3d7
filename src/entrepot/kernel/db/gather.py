"""Gathers what many ask for at once into one transaction at a time, so that they share its commit.

A commit waits for the disk, and two cores have no time for five thousand transactions a second. While one transaction
is on its way, whatever is asked meanwhile waits for the next; who is alone waits for nobody.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.pool import LOST
from entrepot.kernel.refusal import CommitUnknown, Refusal, Unavailable

LOG = logging.getLogger("entrepot.gather")
A = TypeVar("A")
R = TypeVar("R")
Waiting = tuple[A, asyncio.Future[R]]
Work = Callable[[Write, Sequence[A]], Awaitable[Sequence[R | Refusal]]]
UNDONE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, *LOST)
# Another process had the same key first: done again, the work sees what that one has committed.
AGAIN = (asyncpg.UniqueViolationError, CommitUnknown, *UNDONE)
MOST, TRIES = 500, 3


class Gather(Generic[A, R]):
    """One kind of work. `work` does all that it is given in one transaction, and answers each: a result or a refusal.

    What it does must be the same when it is done again, because a commit may be lost on its way back.
    """

    def __init__(self, work: Work[A, R]) -> None:
        self.work = work
        self._waiting: deque[Waiting[A, R]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def ask(self, database: Database, ask: A) -> R:
        """Answers after the commit; raises the refusal, or whatever kept all of them from being done."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(database))
        return await answer

    async def _run(self, database: Database) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
            taken = [(ask, answer) for ask, answer in taken if not answer.done()]
            try:
                await self._settle(database, taken)
            except (Unavailable, *UNDONE) as error:
                _fail(taken, error)
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked
                await self._settle_each(database, taken, error)

    async def _settle_each(self, database: Database, taken: Sequence[Waiting[A, R]], error: Exception) -> None:
        """One of them is at fault: each for itself, so that the others are not."""
        if len(taken) == 1:
            _fail(taken, error)
            return
        LOG.warning("a batch of %d failed, each is tried alone: %s", len(taken), str(error) or type(error).__name__)
        for each in taken:
            try:
                await self._settle(database, [each])
            except Exception as alone:  # noqa: BLE001 - as above
                _fail([each], alone)

    async def _settle(self, database: Database, taken: Sequence[Waiting[A, R]]) -> None:
        tries = TRIES
        while True:
            try:
                async with database.write() as db:
                    results = await self.work(db, [ask for ask, _ in taken])
                break
            except AGAIN:
                tries -= 1
                if not tries:
                    raise
        for (_, answer), result in zip(taken, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Refusal):
                answer.set_exception(result)
            else:
                answer.set_result(result)


def _fail(taken: Sequence[Waiting[A, R]], error: Exception) -> None:
    for _, answer in taken:
        if not answer.done():
            answer.set_exception(error)
