"""`entrepot serve`: the HTTP server."""

import logging
import sys

from granian import Granian
from granian.constants import Interfaces, Loops
from granian.log import LogLevels

from entrepot.commands import here
from entrepot.kernel.settings import Settings
from entrepot.main import find_apps

STOP_AFTER = 8  # seconds that a worker process has for what it is answering


def serve() -> None:
    """Serve HTTP until Ctrl-C or SIGTERM, with ENTREPOT_WORKERS processes.

    Without DATABASE_URL the embedded PostgreSQL is started, and stopped with its last user. Exit status: 0 stopped as
    asked, 1 the database is behind this release or the server failed, 2 a setting cannot be used.
    """
    with here.database() as settings:
        here.run(here.require_current(settings.database_url, find_apps(settings.apps)))
        here.set_environment(settings)
        _granian(settings).serve()


def _granian(settings: Settings) -> Granian:  # type: ignore[type-arg,valid-type]
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    return Granian(  # type: ignore[no-any-return,operator]
        "entrepot.main:web",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=settings.workers,
        factory=True,
        log_level=LogLevels.warning,
        workers_kill_timeout=STOP_AFTER,
        respawn_failed_workers=True,
    )
