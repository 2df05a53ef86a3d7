"""How the application is served: uvicorn in each process, with connections of ours, and gunicorn above them."""

from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from litestar.types import ASGIApp
from uvicorn import Config, Server
from uvicorn_worker import UvicornWorker

from entrepot.kernel.http.connection import Connection
from entrepot.kernel.http.websocket import WebSocket

STOP_AFTER = 8  # seconds that a server process has for what it is answering
STUCK_AFTER = 60  # seconds without a sign of life after which a server process is replaced
KEPT_ALIVE = 75  # seconds that a connection may be silent: longer than proxies and clients keep theirs
OPTIONS: dict[str, Any] = {
    "http": Connection,
    "ws": WebSocket,  # our connections make it by themselves; uvicorn asks only whether there is one
    "interface": "asgi3",
    "lifespan": "on",
    "timeout_keep_alive": KEPT_ALIVE,
    "timeout_graceful_shutdown": STOP_AFTER - 2,
    "proxy_headers": False,  # ENTREPOT_TRUSTED_PROXIES says whom to believe
    "server_header": False,
    "access_log": False,
    "log_config": None,
    "log_level": "warning",
}


def server_of(application: ASGIApp, port: int) -> Server:
    """A server within this process and its event loop; `should_exit` ends it."""
    return Server(Config(application, host="127.0.0.1", port=port, **OPTIONS))


class ServerProcess(UvicornWorker):  # type: ignore[misc]
    """One of gunicorn's processes."""

    CONFIG_KWARGS = {**OPTIONS, "loop": "uvloop"}  # noqa: RUF012 - gunicorn reads it from the class


class Servers(BaseApplication):  # type: ignore[misc]
    """Server processes of one port. One that ends by itself, or shows no sign of life, is replaced.

    `make` makes the application, in each process anew.
    """

    def __init__(self, make: Callable[[], ASGIApp], host: str, port: int, processes: int) -> None:
        self._make, self._processes = make, processes
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__()

    def load_config(self) -> None:
        """As gunicorn wants it."""
        given = {
            "bind": self._address,
            "workers": self._processes,
            "worker_class": ServerProcess,
            "graceful_timeout": STOP_AFTER,
            "timeout": STUCK_AFTER,
            "keepalive": KEPT_ALIVE,
            "loglevel": "warning",
            "control_socket_disable": True,
        }
        for name, value in given.items():
            self.cfg.set(name, value)

    def load(self) -> ASGIApp:
        """The application of a process."""
        return self._make()
