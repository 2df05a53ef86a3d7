"""`entrepot serve`: the HTTP server."""

import logging
import os
import sys
from tempfile import TemporaryDirectory

from entrepot.commands import here
from entrepot.kernel.http.serving import Servers
from entrepot.kernel.meters import TOGETHER
from entrepot.kernel.settings import Settings
from entrepot.kernel.tracing import is_wanted
from entrepot.main import find_apps
from entrepot.web import web_of_process


def serve() -> None:
    """Does `entrepot serve`."""
    with here.database() as settings:
        apps, url = find_apps(settings.apps), settings.database_url
        is_wanted()  # a fault in those settings is told here, and not by each of the processes
        here.run(here.require_current(url, apps), url)
        here.set_environment(settings)
        with here.alone_at(settings.host, settings.port):
            listen(settings)


def listen(settings: Settings) -> None:
    """Serves until it is told to stop."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    servers = Servers(web_of_process, settings.host, settings.port, settings.workers)
    with TemporaryDirectory(prefix="entrepot-metrics-") as folder:
        # The server processes count in files there, so that each of them can tell what all of them counted.
        os.environ[TOGETHER] = folder
        servers.run()
