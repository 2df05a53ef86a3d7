"""The ASGI application: every route of every app, the pages, and the house as long as it serves."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from importlib.metadata import version

from litestar import Litestar
from litestar.types import ASGIApp

from entrepot.kernel import settings as configuration
from entrepot.kernel.app import Apps
from entrepot.kernel.http import server
from entrepot.kernel.http.farewell import farewell
from entrepot.kernel.http.openapi import document
from entrepot.kernel.http.pages import pages
from entrepot.kernel.monitor.pages import health_pages
from entrepot.kernel.settings import Settings
from entrepot.kernel.tracing import whole
from entrepot.main import House

CHAIN_PATIENCE = 5.0  # seconds that a request waits for a node that does not answer


def web_of_process() -> ASGIApp:
    """The ASGI application of a server process, which is ended by signals."""
    return web(is_process=True)


def web(settings: Settings | None = None, *, is_process: bool = False) -> ASGIApp:
    """The ASGI application; its settings come from the environment where none are given."""
    house = House(settings or configuration.load(), chain_patience=CHAIN_PATIENCE, reports_as="server")

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        ends = (whole(), farewell(house.live)) if is_process else (nullcontext(), nullcontext())
        async with ends[0], house, ends[1]:
            if is_process:
                # What was imported stays for good; the collector need not look at it again and again.
                gc.collect()
                gc.freeze()
            yield

    endpoints = house.endpoints()
    described = document(endpoints, "Entrepôt", version("entrepot"))
    more = [*pages(described), *health_pages(house.database, house.settings, Apps(house.apps))]
    return server.build(endpoints, house.settings, more, [lifespan])
