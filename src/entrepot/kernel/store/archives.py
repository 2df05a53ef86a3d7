"""Where archives are kept: large objects by name, streamed to and from a folder or a bucket of a cloud."""

import asyncio
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.store import durable
from entrepot.kernel.store.objects import ObjectMissing


class Archives:
    """Objects by name, each written once as a whole: who is cut off while writing leaves nothing under the name.

    The store's own errors pass through (`OSError`, `obstore.exceptions.BaseError`): whoever archives tries again later.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def writer(self, name: str) -> "Writing":
        """A binary file that is there once it was kept; for use in a thread."""
        return Writing(durable.writer(self.store, name))

    async def reader(self, name: str) -> "Reading":
        """A binary file, for use in a thread; raises `ObjectMissing`."""
        try:
            return Reading(await asyncio.to_thread(obstore.open_reader, self.store, name))
        except FileNotFoundError:
            raise ObjectMissing(name) from None

    async def put(self, name: str, content: bytes) -> None:
        """A small object, whole."""
        await asyncio.to_thread(durable.put, self.store, name, content)

    async def get(self, name: str) -> bytes:
        """A small object, whole; raises `ObjectMissing`."""
        try:
            return bytes(await (await obstore.get_async(self.store, name)).bytes_async())
        except FileNotFoundError:
            raise ObjectMissing(name) from None

    async def delete(self, name: str) -> None:
        """Removes it, be it there or not, and what was written of it by one who was killed.

        A folder has that beside it, as `name#1`. What a bucket keeps of an upload that was cut off, only the bucket's
        own lifecycle rules remove (AbortIncompleteMultipartUpload).
        """
        with suppress(FileNotFoundError):
            await obstore.delete_async(self.store, name)
        if isinstance(self.store, LocalStore):
            await asyncio.to_thread(_remove_cut_off, Path(str(self.store.prefix)) / name)


def _remove_cut_off(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}#*"):
        file.unlink(missing_ok=True)


class Writing:
    """An object being written, as Arrow wants a file. Not one of Python's: those close, and so keep, what was left."""

    def __init__(self, file: durable.Writer) -> None:
        self.file = file
        self.closed = False

    def write(self, content: bytes) -> int:
        """Adds to it."""
        self.file.write(content)
        return len(content)

    def flush(self) -> None:
        """Nothing is there before all is."""

    def keep(self) -> None:
        """It is whole: from now on it is there."""
        self.closed = True
        self.file.close()


class Reading(RawIOBase):
    """An object as Python's own kind of binary file, which Arrow reads by seeking."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.size: int = file.size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self.file.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self.file.seek(offset, whence))

    def read(self, size: int | None = -1) -> bytes:
        return bytes(self.file.readall() if size is None or size < 0 else self.file.read(size))


def archives_of(settings: Settings) -> Archives:
    """The folder or bucket that the settings name, or a folder under `home`; raises `BadSettings`."""
    url = settings.archives_url or (settings.home / "archives").absolute().as_uri()
    try:
        if url.startswith("file:"):
            return Archives(LocalStore(prefix=unquote(urlsplit(url).path), mkdir=True))
        return Archives(from_url(url))
    except Exception as error:
        raise BadSettings(f"ENTREPOT_ARCHIVES_URL: {error}") from error
