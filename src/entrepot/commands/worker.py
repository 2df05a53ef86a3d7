"""`entrepot worker`: tasks at their times and services all the time."""

import logging
import sys

import uvloop

from entrepot.commands import here
from entrepot.console import Failed
from entrepot.kernel.settings import Settings
from entrepot.kernel.work.runner import BadWork, Worker
from entrepot.main import House

FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def worker() -> None:
    """Does `entrepot worker`."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=FORM)
    with here.database() as settings:
        here.run(here.until_stopped(work(settings)), settings.database_url, uvloop.new_event_loop)


async def work(settings: Settings) -> None:
    """Works until it is cancelled."""
    async with House(settings, reports_as="worker") as house:
        await here.require_current(settings.database_url, house.apps)
        try:
            made = Worker(house)
        except BadWork as bad:
            raise Failed(str(bad)) from None
        await made.run()
