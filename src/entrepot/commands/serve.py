"""`entrepot serve`: the HTTP server."""

import logging
import os
import sys
from tempfile import TemporaryDirectory

from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from granian.server import Server

from entrepot.commands import here
from entrepot.kernel.meters import TOGETHER
from entrepot.kernel.settings import Settings
from entrepot.main import find_apps

STOP_AFTER = 8  # seconds that a worker process has for what it is answering


def serve() -> None:
    """Serve HTTP until Ctrl-C or SIGTERM, with ENTREPOT_WORKERS processes.

    Without DATABASE_URL the embedded PostgreSQL is started, and stopped with its last user. Exit status: 0 stopped as
    asked, 1 the database is behind this release, the port is taken or the server failed, 2 a setting cannot be used.
    """
    with here.database() as settings:
        apps, url = find_apps(settings.apps), settings.database_url
        here.run(here.require_current(url, apps), url)
        here.set_environment(settings)
        with here.alone_at(settings.host, settings.port):
            listen(settings)


def listen(settings: Settings) -> None:
    """Serves until it is told to stop."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    server = Server(
        "entrepot.main:web_of_process",
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
    with TemporaryDirectory(prefix="entrepot-metrics-") as folder:
        # The server processes count in files there, so that each of them can tell what all of them counted.
        os.environ[TOGETHER] = folder
        server.serve()
