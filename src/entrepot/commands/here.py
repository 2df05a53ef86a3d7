"""What every command finds here: the settings, the database behind them, and the market that runs on this machine."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec

from entrepot.console import Failed
from entrepot.dev import postgres
from entrepot.dev.process import is_alive
from entrepot.kernel import settings as configuration
from entrepot.kernel.app import App
from entrepot.kernel.settings import ChainSettings, Settings, variable
from entrepot.kernel.upkeep import revisions

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
TO_CHILDREN = ("home", "database_url", "database_owner_url", "host", "port", "public_url", "server_role")


class Running(msgspec.Struct, frozen=True):
    """What `entrepot up` notes of itself, so that other commands find the same chain."""

    pid: int
    url: str
    chains: tuple[ChainSettings, ...]


def running(home: Path) -> Running | None:
    """The market that runs on this machine with this home, if there is one."""
    try:
        noted = msgspec.json.decode((home / "running.json").read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None
    return noted if is_alive(noted.pid) else None


@contextmanager
def noted(home: Path, note: Running) -> Iterator[None]:
    """Notes it for the block."""
    file = home / "running.json"
    file.write_bytes(msgspec.json.encode(note))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def settings(**more: Any) -> Settings:
    """From the environment; without chains in it, those of the market that runs here."""
    found = configuration.load(**more)
    here = None if found.chains else running(found.home)
    return found if here is None else msgspec.structs.replace(found, chains=here.chains)


def environment(given: Settings) -> Mapping[str, str]:
    """The variables that give a child process these settings; what they do not name, it inherits."""
    plain = {variable(name): str(getattr(given, name)) for name in TO_CHILDREN}
    paces = ("reads_per_minute", "writes_per_minute", "sign_ins_per_minute", "messages_per_minute")
    plain.update({variable(name): str(getattr(given, name)) for name in paces})
    return {**plain, variable("chains"): msgspec.json.encode(given.chains).decode()}


def owner_url(given: Settings) -> str:
    """The address that migrations use."""
    return given.database_owner_url or given.database_url


@contextmanager
def database() -> Iterator[Settings]:
    """The settings, with a database that runs: the one that they name, or the embedded one."""
    with postgres.embedded(settings()) as found:
        yield found


def run(work: Coroutine[Any, Any, T], database_url: str = "", loop: LoopFactory | None = None) -> T:
    """Runs a command's work, after a look whether the database that it needs is there."""

    async def whole() -> T:
        try:
            if database_url:
                await require_database(database_url)
        except Failed:
            work.close()
            raise
        return await work

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(whole())


async def require_database(url: str) -> None:
    """Raises `Failed` where the database does not let us in."""
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise Failed(f"the database does not let us in: {error}", "entrepot migrate up") from None
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Failed(f"the database does not answer: {str(error) or type(error).__name__}", "entrepot doctor") from None
    await connection.close()


async def until_stopped(work: Coroutine[Any, Any, T]) -> T | None:
    """The work's result, or None when Ctrl-C or SIGTERM came first; the work is then cancelled and ends cleanly."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        return None


async def behind(url: str, apps: Sequence[App]) -> list[revisions.Standing]:
    """The schemas that are not this release's."""
    return [each for each in await revisions.status(url, apps) if not each.is_current]


async def require_current(url: str, apps: Sequence[App]) -> None:
    """Raises `Failed` where the database is not this release's."""
    if late := await behind(url, apps):
        names = ", ".join(each.app for each in late)
        raise Failed(f"the database is behind this release: {names}", "entrepot migrate up")


def set_environment(given: Settings) -> None:
    """For the server's worker processes, which read their settings from it."""
    os.environ.update(environment(given))


async def answers(url: str, path: str = "/api/v1/openapi.json") -> bool:
    """Whether a server of ours answers there."""
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, int(port or 80))
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status


def free_port(host: str) -> int:
    """A port that is free at this moment."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((host, port))
            return True
    return False


@contextmanager
def alone_at(host: str, port: int) -> Iterator[None]:
    """Raises `Failed` where the port is another program's, or another server's of ours.

    Our servers share a port with whoever else shares it (SO_REUSEPORT), so two would answer in turns, each from a
    database of its own, and nothing would tell. On Linux the first takes a name that no second process can have; it is
    given back at the process's end, however it ends.
    """
    taken = Failed(f"port {port} on {host} is taken", "set ENTREPOT_PORT to another")
    with socket.socket(socket.AF_UNIX) as name:
        if sys.platform == "linux":
            try:
                name.bind(f"\0entrepot server on port {port}")
            except OSError:
                raise taken from None
        if not is_free(host, port):
            raise taken
        yield
