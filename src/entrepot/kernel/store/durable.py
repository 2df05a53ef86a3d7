"""Writing into a store so that what was kept survives a power cut: buckets promise that, a folder has to be told.

object_store renames a file that it has written and syncs neither the file nor the folder, so that after a power cut a
name may be gone or stand for an empty file. Here a file is on the disk before it has its name, and the name is on the
disk before anyone is told. Until then its name is that which object_store gives such a file and never lists: `name#1`.
"""

import errno
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, ObjectStore

PART = 10 << 20
"""Octets that are sent to a bucket at a time."""


class Writer(Protocol):
    """An object that is being written; who drops it without closing it leaves nothing under its name."""

    def write(self, content: bytes) -> Any:
        """Adds to it."""

    def close(self) -> Any:
        """It is whole: from now on it is there, whatever happens."""


def writer(store: ObjectStore, name: str, *, part: int = PART, at_once: int = 12) -> Writer:
    """Begins an object. For use in a thread; raises `OSError` and `obstore.exceptions.BaseError`, as all here do."""
    if isinstance(store, LocalStore):
        return _File(_folder(store), name)
    opened: Writer = obstore.open_writer(store, name, buffer_size=part, max_concurrency=at_once)
    return opened


def put(store: ObjectStore, name: str, content: bytes, *, new: bool = False) -> None:
    """A small object, whole. For use in a thread. With `new` it raises `AlreadyExistsError` where one has the name."""
    if not isinstance(store, LocalStore):
        obstore.put(store, name, content, mode="create" if new else "overwrite")
        return
    file = _File(_folder(store), name)
    file.write(content)
    file.close(new=new)


def _folder(store: LocalStore) -> Path:
    return Path(str(store.prefix))


class _File:
    """A file of a folder store."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.path = root, root / name
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.part, self.file = _beside(self.path)

    def write(self, content: bytes) -> None:
        self.file.write(content)

    def close(self, *, new: bool = False) -> None:
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            if new:
                os.link(self.part, self.path)
            else:
                os.replace(self.part, self.path)  # noqa: PTH105 - a Path costs much
        except FileExistsError as error:
            raise AlreadyExistsError(str(self.path)) from error
        finally:
            self._drop()
            self._sync_folders()  # whoever came first may not have done it yet

    def _sync_folders(self) -> None:
        """Up to the one that the store itself is in, since any of them may be new."""
        for folder in (self.path.parent, *self.path.parent.parents):
            _sync(folder, must=folder != self.root.parent)
            if folder == self.root.parent:
                break

    def _drop(self) -> None:
        """Removes what has no name yet; what was not closed is not wanted."""
        self.part.unlink(missing_ok=True)
        with suppress(OSError):  # what a full disk did not take
            self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "file") and not self.file.closed:
            self._drop()


def _sync(folder: Path, *, must: bool) -> None:
    """Puts the names in a folder on the disk. Who may not look at the store's own place cannot have made it."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        if must:
            raise
        return
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # as PostgreSQL: some file systems have no such thing
            raise
    finally:
        os.close(opened)


def _beside(path: Path) -> tuple[Path, BinaryIO]:
    """A new file that nobody lists; others may be writing the same object, or may have been killed at it."""
    for number in count(1):
        part = path.with_name(f"{path.name}#{number}")
        try:
            return part, part.open("xb")
        except FileExistsError:
            continue
    raise AssertionError
