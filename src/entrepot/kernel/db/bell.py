"""The bell: tells every process that something was published, after commits, and never once for each of them.

A NOTIFY takes a lock of the whole server until its transaction has committed, so commits that carried one would stand
in line. It is sent by itself instead, and is a wake-up only: who misses it reads a little later. One that comes after a
quiet time is sent at once. The next waits some times as long as the last took, so that under load, when each takes
longer, more commits share one.
"""

import asyncio
import secrets
from contextlib import suppress

import asyncpg

from entrepot.kernel.db.pool import GONE, Pool
from entrepot.kernel.refusal import Unavailable

CHANNEL = "entrepot"
RING = "SELECT pg_notify('{channel}', '{name}'), set_config('synchronous_commit', 'off', true)"
RESTS = 4  # times as long as the last one took
LONGEST_REST = 0.01
PATIENCE = 2.0


class Bell:
    """Rings for one process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.name = secrets.token_hex(8)
        """What its rings carry, so that who was told of a commit already knows them."""
        self._ringing: asyncio.Task[None] | None = None
        self._again = False

    def ring(self) -> None:
        """At once, or as soon as the last one is old enough."""
        self._again = True
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.create_task(self._ring())

    async def close(self) -> None:
        """Waits until the last one is out, where there is still somebody to tell it."""
        if self._ringing is not None:
            await asyncio.wait([self._ringing], timeout=PATIENCE)
            self._ringing.cancel()

    async def _ring(self) -> None:
        clock = asyncio.get_running_loop().time
        # No parameter: behind a transaction pooler it must be one message.
        statement = RING.format(channel=CHANNEL, name=self.name)
        while self._again:
            self._again = False
            began = clock()
            with suppress(Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, *GONE):
                held = await self._pool.take()
                broken = True
                try:
                    await held.connection.execute(statement)
                    broken = False
                finally:
                    self._pool.give(held, broken=broken)
            await asyncio.sleep(min(LONGEST_REST, RESTS * (clock() - began)))
