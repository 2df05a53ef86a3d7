"""A PostgreSQL that is installed on this machine, in place of the embedded one: `make test-15`."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from entrepot.dev import postgres
from entrepot.dev.standby import Standby, following

VARIABLE = "ENTREPOT_TEST_POSTGRES"
"""The folder of its programs, such as /usr/lib/postgresql/15/bin."""
NEWER = {"summarize_wal": 17}
"""Settings, and the major version that brought them."""


class Installed:
    """A cluster in a folder, made by the programs of another folder; looks like the embedded server to the tests."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder, self.pgdata = programs, folder, folder / "data"
        self.user = "postgres" if os.geteuid() == 0 else None

    def get_uri(self, database: str = "postgres") -> str:
        """The owner's address, by the socket."""
        return f"postgresql://postgres:@/{database}?host={self.folder}"

    def run(self, name: str, *arguments: str) -> str:
        """One of its programs, as the user that PostgreSQL's package made where we are root, which it refuses to be."""
        command = [str(self.programs / name), *arguments]
        told = subprocess.run(
            command, check=True, capture_output=True, text=True, user=self.user, group=self.user, cwd=self.folder
        )
        return told.stdout

    def pg_ctl(self, *arguments: str) -> None:
        """Its answer goes to a file: what the server inherits stays open as long as it runs."""
        with (self.folder / "said").open("w") as said:
            subprocess.run(
                [str(self.programs / "pg_ctl"), "-D", str(self.pgdata), "-w", *arguments],
                check=True, stdout=said, stderr=said, user=self.user, group=self.user, cwd=self.folder,
            )  # fmt: skip


@contextmanager
def started(programs: Path, folder: Path, settings: Mapping[str, str]) -> Iterator[Installed]:
    """The server in that new folder, which is removed afterwards."""
    server = Installed(programs, folder)
    if server.user:
        shutil.chown(folder, server.user, server.user)
    folder.chmod(0o711)  # a pooler and a replica, which are other users, come to the socket in it
    server.run("initdb", "-D", str(server.pgdata), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
    major = int((server.pgdata / "PG_VERSION").read_text())
    given = {**settings, "unix_socket_directories": f"'{folder}'", "listen_addresses": "''"}
    lines = [f"{name} = {value}\n" for name, value in given.items() if NEWER.get(name, 0) <= major]
    (server.pgdata / "postgresql.auto.conf").write_text("".join(lines))
    server.pg_ctl("-l", str(folder / "log"), "start")
    try:
        yield server
    finally:
        server.pg_ctl("-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def followed(server: Installed | postgres.Server) -> AbstractContextManager[Standby]:
    """A replica of it, by its own programs: PostgreSQL's replicas have their primary's major version."""
    if isinstance(server, Installed):
        return following(server.get_uri(), server.programs, server.user or getpass.getuser())
    return following(server.get_uri())
