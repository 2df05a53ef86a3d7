"""A process of ours on this machine: started, watched, asked to end, and ended with whoever started it."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

PATIENCE = 20.0  # seconds for a process to end when it is asked
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Ended(Exception):
    """A process that should have gone on has ended; the message holds its last words."""


def is_alive(pid: int) -> bool:
    """Whether there is a process of that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes another program: asks the kernel for SIGTERM at the death of its parent."""
    if LIBC is None:
        return None
    prctl = LIBC.prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return bind


async def end(process: asyncio.subprocess.Process) -> None:
    """Asks it to end, because it has things to put in order, then insists."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)  # Popen.terminate would reap a dead child under asyncio's feet
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()


class Child:
    """A running command of ours, and the file that holds what it says."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    @property
    def last_words(self) -> str:
        """The end of what it said."""
        said = [each for each in self.log.read_text(errors="replace").splitlines() if each.strip()]
        return "\n".join(said[-8:])

    def still_there(self) -> None:
        """Raises `Ended` when it is not."""
        if self.process.returncode is not None:
            raise Ended(f"the {self.name} ended with status {self.process.returncode}:\n{self.last_words}")

    async def outlived(self) -> None:
        """Waits until it ends, and raises `Ended`."""
        await self.process.wait()
        self.still_there()


async def outlived(name: str, pid: int) -> None:
    """Looks every second whether a process is there, and raises `Ended` when it is not."""
    while is_alive(pid):  # noqa: ASYNC110
        await asyncio.sleep(1)
    raise Ended(f"the {name} ended by itself")


@asynccontextmanager
async def entrepot(name: str, arguments: Sequence[str], log: Path, more: Mapping[str, str]) -> AsyncIterator[Child]:
    """`entrepot` with these arguments and `more` in its environment, saying what it says to a file of its own."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "entrepot",
            *arguments,
            env={**os.environ, **more},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for us; it ends when we say so
            preexec_fn=die_with_parent(os.getpid()),
        )
    try:
        yield Child(name, process, log)
    finally:
        await end(process)
