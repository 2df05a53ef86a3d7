"""The disks of this machine on which the market writes, and how full they are."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec
import psutil

from entrepot.kernel.settings import Settings

LEAST = 512 * 2**20  # octets; PostgreSQL's log alone may grow by its max_wal_size, 1 GB as it comes
SHARE, SOON = 0.05, 0.15
DATA = """
    SELECT current_setting('data_directory') AS folder,
        coalesce(host(inet_server_addr()), '127.0.0.1') IN ('127.0.0.1', '::1') AS is_here
"""


class Disk(msgspec.Struct, frozen=True):
    """One file system. Sizes are octets."""

    path: Path
    uses: tuple[str, ...]
    free: int
    total: int

    @property
    def state(self) -> str:
        """Bad where it is as good as full, a note where it will be."""
        share = self.free / self.total
        if share < SHARE or self.free < LEAST:
            return "bad"
        return "note" if share < SOON else "good"

    @property
    def told(self) -> str:
        """In words."""
        unit, name = (2**30, "GB") if self.free >= 2**30 else (2**20, "MB")
        size = f"{self.free / unit:.0f} of {self.total / unit:.0f} {name}"
        return f"{size} are free at {self.path} ({', '.join(self.uses)})"


async def places(settings: Settings, owner_url: str) -> list[tuple[str, Path]]:
    """What is written where, as far as it is on this machine."""
    found = [("home", settings.home)]
    for name in ("objects", "archives", "backup"):
        url = urlsplit(getattr(settings, f"{name}_url"))
        if url.scheme == "file":
            found.append((name, Path(unquote(url.path))))
    if not owner_url:
        return found
    connection = await asyncpg.connect(owner_url)
    try:
        row = await connection.fetchrow(DATA)
    except asyncpg.InsufficientPrivilegeError:
        row = None
    finally:
        await connection.close()
    if row is not None and row["is_here"]:
        found.append(("database", Path(row["folder"])))
    return found


def nearest(wanted: Path) -> Path:
    """The folder, or what is there of the way to it; as far as this user may look."""
    return next(each for each in (wanted.absolute(), *wanted.absolute().parents) if os.path.exists(each))  # noqa: PTH110


async def disks(settings: Settings, owner_url: str) -> list[Disk]:
    """Each once, however much of the market is on it. Without the owner's address the database's is not looked at."""
    uses: dict[int, list[str]] = {}
    paths: dict[int, Path] = {}
    for name, wanted in await places(settings, owner_url):
        path = nearest(wanted)
        device = path.stat().st_dev
        uses.setdefault(device, []).append(name)
        paths.setdefault(device, path)
    found = []
    for device, path in paths.items():
        usage = psutil.disk_usage(str(path))
        found.append(Disk(path, tuple(uses[device]), usage.free, usage.total))
    return found
