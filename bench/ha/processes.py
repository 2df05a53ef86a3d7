"""Programs of the trial: started as the user that PostgreSQL wants, and ended, or killed, by their own ids."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from entrepot.dev.process import is_alive

PATIENCE = 30.0


class Missing(Exception):
    """A program is not installed; the message says how it is."""


def program(name: str) -> str:
    """The path of an installed program; raises `Missing`."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is missing; on Debian: apt install patroni etcd-server postgresql-15")
    return found


def user() -> str | None:
    """Whom PostgreSQL's programs are run as: root may not, so it lends them to the user of Debian's package."""
    return "postgres" if os.geteuid() == 0 else None


def own(path: Path) -> Path:
    """Gives a file or folder to that user."""
    if name := user():
        shutil.chown(path, name, name)
    return path


@contextmanager
def started(arguments: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program, until the block ends; what it says is in the file."""
    with log.open("ab") as said:
        process = subprocess.Popen(
            list(arguments), cwd=log.parent, user=user(), group=user(), extra_groups=[] if user() else None,
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(pid: int) -> list[int]:
    """A process and all below it, the eldest first."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(below for child in children for below in family(int(child)))]


def kill(pids: Sequence[int]) -> None:
    """As when the machine loses power: none of them can do anything any more."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def postmaster(data: Path) -> int | None:
    """The process of the server in that folder, if it runs."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if is_alive(pid) else None
