"""A listener: one connection of its own that hears the bell, and is made anew whenever it is lost."""

import asyncio
import logging
from collections.abc import Callable, Mapping

import asyncpg

from entrepot.kernel.db.bell import CHANNEL
from entrepot.kernel.db.pool import GONE

LOG = logging.getLogger("entrepot.db")
LONGEST_PAUSE = 10.0
TRIAL = 15.0  # seconds between two trials of a connection that may be silent because it is dead
PATIENCE = 5.0
Hear = Mapping[str, Callable[[str], None]]


async def listen(url: str, wake: Callable[[], None], hear: Hear | None = None) -> None:
    """Calls `wake` at every bell, and once for each new connection, as it may have missed some. Until cancelled.

    `hear` are further channels, and what is called with each payload that comes on them. `url` must not lead through a
    transaction pooler, which does not pass on what is heard.
    """
    pause = 0.1
    while True:
        try:
            connection = await asyncpg.connect(url, timeout=PATIENCE)
        except (*GONE, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            LOG.warning("cannot listen: %s; again in %.1f s", error or type(error).__name__, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            continue
        pause = 0.1
        try:
            await _hear(connection, wake, hear or {})
        finally:
            connection.terminate()


async def _hear(connection: asyncpg.Connection, wake: Callable[[], None], hear: Hear) -> None:
    """Until the connection is lost."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _connection: lost.set())
    try:
        await connection.add_listener(CHANNEL, lambda *_heard: wake())
        for channel, told in hear.items():
            await connection.add_listener(channel, _payloads(told))
        wake()
        while not lost.is_set():
            try:
                async with asyncio.timeout(TRIAL):
                    await lost.wait()
            except TimeoutError:
                await connection.execute("SELECT 1", timeout=PATIENCE)
    except (*GONE, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        LOG.warning("stopped listening: %s", error or type(error).__name__)


def _payloads(told: Callable[[str], None]) -> Callable[..., None]:
    return lambda _connection, _process, _channel, payload: told(payload)
