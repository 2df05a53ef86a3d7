"""What was put into a folder is on the disk before anyone is told: first the file, then its name, then its folders."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore

from entrepot.kernel import clock
from entrepot.kernel.settings import Settings
from entrepot.kernel.store import durable
from entrepot.kernel.store.archives import archives_of
from entrepot.kernel.store.bucket import place
from entrepot.kernel.store.cid import cid_of
from entrepot.kernel.store.opening import objects_of
from entrepot.kernel.upkeep.backup.model import BackupFailed, Position
from entrepot.kernel.upkeep.backup.place import place_of

WRITTEN = b"what was written" * 1000


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the disk is asked to do, in order, each with the last part of the name; it is done, too."""
    seen: list[tuple[str, str]] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(subject: Any, *more: Any) -> Any:
            path = Path(f"/proc/self/fd/{subject}").readlink() if isinstance(subject, int) else Path(more[0])
            is_whole = path.is_dir() or name != "fsync" or path.read_bytes().endswith(WRITTEN[-16:])
            seen.append((name, path.name if is_whole else f"{path.name}, not whole"))
            return real(subject, *more)

        return call

    for name in ("fsync", "replace", "link"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    return seen


def in_order(calls: list[tuple[str, str]], folders: list[str], name: str, act: str = "replace") -> None:
    """The file, then its name, then every folder on the way to it, the one that the store is in too."""
    assert calls == [("fsync", f"{name}#1"), (act, name), *(("fsync", each) for each in folders)]
    calls.clear()


async def test_each_store_syncs_the_file_then_names_it_then_syncs_its_folders(
    calls: list[tuple[str, str]], tmp_path: Path
) -> None:
    settings, home = Settings(home=tmp_path), tmp_path.name
    archives, objects, backups = archives_of(settings), objects_of(settings), place_of(settings, "7")
    await archives.put("core/m.json", WRITTEN)
    in_order(calls, ["core", "archives", home], "m.json")
    writing = archives.writer("core/m.parquet")
    writing.write(WRITTEN)
    assert calls == []
    writing.keep()
    in_order(calls, ["core", "archives", home], "m.parquet")
    address = cid_of(WRITTEN)
    for _ in range(2):
        await objects.put(WRITTEN)
        in_order(calls, [place(address)[:2], "objects", home], address, "link")
    backups._put("wal/1.gz", WRITTEN)
    in_order(calls, ["wal", "7", "backups", home], "1.gz")
    backups.write("base.tar.gz", 0, lambda sink: sink.write(WRITTEN))
    assert [each for each, _ in calls] == ["fsync", "replace", "fsync", "fsync", "fsync"]


def test_what_is_not_closed_leaves_nothing_and_what_was_there_stays(tmp_path: Path) -> None:
    store = LocalStore(prefix=tmp_path)
    durable.put(store, "a/b", b"first")
    writer = durable.writer(store, "a/b")
    writer.write(WRITTEN * 100)
    assert sorted(each.name for each in (tmp_path / "a").iterdir()) == ["b", "b#1"]
    del writer
    with pytest.raises(AlreadyExistsError):
        durable.put(store, "a/b", b"second", new=True)
    assert [(each.name, each.read_bytes()) for each in (tmp_path / "a").iterdir()] == [("b", b"first")]
    durable.put(store, "a/b", b"third")
    assert (tmp_path / "a/b").read_bytes() == b"third"


def test_a_disk_that_does_not_take_it_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def failing(number: int) -> None:
        if stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(5, "Input/output error")
        real(number)

    monkeypatch.setattr(os, "fsync", failing)
    settings = Settings(home=tmp_path)
    with pytest.raises(OSError, match="Input/output error"):
        asyncio.run(archives_of(settings).put("a", b"content"))
    with pytest.raises(BackupFailed, match="was not kept: .*Input/output error"):
        place_of(settings, "7").reach(Position("0/1", clock.now()))
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []
