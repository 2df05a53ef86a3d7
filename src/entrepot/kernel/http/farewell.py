"""Farewell: a server process that is asked to end says goodbye on its live streams before the server closes them."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from entrepot.kernel.http.live import Live

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""By the supervisor, by Ctrl-C at a terminal, and by the supervisor in haste."""


@asynccontextmanager
async def farewell(live: Live) -> AsyncIterator[None]:
    """Hears those signals before the server does, whose own handler is called when the streams are closed.

    The server would close every socket by itself, but not what is only about to become a stream, and not in order.
    """
    loop = asyncio.get_running_loop()
    ends = signal.getsignal(signal.SIGTERM)
    leaving: list[asyncio.Task[None]] = []

    async def leave() -> None:
        await live.close()
        if callable(ends):
            ends(signal.SIGTERM, None)

    def begin() -> None:
        if not leaving:
            leaving.append(asyncio.create_task(leave()))

    for each in ENDING:
        loop.add_signal_handler(each, begin)
    yield
