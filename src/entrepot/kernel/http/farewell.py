"""Farewell: a server process that is asked to end says goodbye on its live streams before the server drops them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from entrepot.kernel.http.live import Live


@asynccontextmanager
async def farewell(live: Live) -> AsyncIterator[None]:
    """For a process of granian's, which drops every socket before it ends the lifespan (granian issue 796).

    SIGTERM, by which granian ends its processes, is therefore heard here first. When the streams are closed it is
    passed on as SIGINT, which granian takes for the same.
    """
    loop = asyncio.get_running_loop()
    leaving: list[asyncio.Task[None]] = []

    async def leave() -> None:
        await live.close()
        os.kill(os.getpid(), signal.SIGINT)

    def begin() -> None:
        if not leaving:
            leaving.append(asyncio.create_task(leave()))

    loop.add_signal_handler(signal.SIGTERM, begin)
    yield
