"""A listener: one connection of its own that hears the bell, and is made anew whenever it is lost."""

import asyncio
import logging
from collections.abc import Callable, Mapping

import asyncpg

from entrepot.kernel.db.bell import CHANNEL
from entrepot.kernel.db.pool import GONE

LOG = logging.getLogger("entrepot.db")
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before the next attempt, which double with each that fails
TRIAL = 15.0  # seconds between two trials of a connection that may be silent because it is dead
PATIENCE = 5.0
TROUBLE = (*GONE, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
Hear = Mapping[str, Callable[[str], None]]


async def listen(url: str, wake: Callable[[], None], hear: Hear | None = None, own: str | None = None) -> None:
    """Calls `wake` at every bell, and once for each new connection, as it may have missed some. Until cancelled.

    `hear` are further channels, and what is called with each payload that comes on them. `url` must not lead through a
    transaction pooler, which does not pass on what is heard. `own` is the name of a bell that need not wake, because
    what it tells is known without it.
    """
    pause = SHORTEST_PAUSE
    while True:
        why = "the connection was lost"
        try:
            connection = await asyncpg.connect(url, timeout=PATIENCE)
            try:
                lost = await _begin(connection, wake, hear or {}, own)
                pause = SHORTEST_PAUSE
                await _until(lost, connection)
            finally:
                connection.terminate()
        except TROUBLE as error:
            why = str(error) or type(error).__name__
        LOG.warning("cannot listen: %s; again in %.1f s", why, pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _begin(
    connection: asyncpg.Connection, wake: Callable[[], None], hear: Hear, own: str | None
) -> asyncio.Event:
    """Listens; answers what is set when the connection is lost. A server that follows another refuses this."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _connection: lost.set())
    await connection.add_listener(CHANNEL, _payloads(lambda name: None if name == own else wake()))
    for channel, told in hear.items():
        await connection.add_listener(channel, _payloads(told))
    wake()
    return lost


async def _until(lost: asyncio.Event, connection: asyncpg.Connection) -> None:
    while not lost.is_set():
        try:
            async with asyncio.timeout(TRIAL):
                await lost.wait()
        except TimeoutError:
            await connection.execute("SELECT 1", timeout=PATIENCE)


def _payloads(told: Callable[[str], None]) -> Callable[..., None]:
    return lambda _connection, _process, _channel, payload: told(payload)
