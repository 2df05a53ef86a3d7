"""The object store: bytes that are found again by the hash of their content, in a folder or a bucket."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, ObjectStore, from_url

from entrepot.kernel.settings import BadSettings, Settings


class ObjectMissing(LookupError):
    """There is no object of that address."""


class ObjectAltered(Exception):
    """What lies at an address has another hash: the store is damaged, or somebody changed it."""


class Objects:
    """Objects by content. The address is the SHA-256 in hexadecimal, so the same bytes are kept once.

    An object is written whole or not at all, and never again: who reads an address gets what was put there, or
    `ObjectMissing` or `ObjectAltered`.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    async def put(self, content: bytes) -> str:
        """The address of these bytes, which are there afterwards."""
        address = hashlib.sha256(content).hexdigest()
        try:
            await obstore.put_async(self.store, place(address), content, mode="create")
        except AlreadyExistsError:
            await self.get(address)
        return address

    async def get(self, address: str) -> bytes:
        """The bytes of an address, checked. Raises `ObjectMissing` and `ObjectAltered`."""
        try:
            found = await obstore.get_async(self.store, place(address))
            content = bytes(await found.bytes_async())
        except FileNotFoundError:
            raise ObjectMissing(address) from None
        if hashlib.sha256(content).hexdigest() != address:
            raise ObjectAltered(address)
        return content

    async def has(self, address: str) -> bool:
        """Whether an object of that address is there; its content is not looked at."""
        try:
            await obstore.head_async(self.store, place(address))
        except FileNotFoundError:
            return False
        return True


def place(address: str) -> str:
    """Where an object lies: 256 folders, so that none grows too large to list."""
    return f"{address[:2]}/{address}"


def open_objects(settings: Settings) -> Objects:
    """The store that the settings name, or a folder under `home`; raises `BadSettings`."""
    url = settings.objects_url or (settings.home / "objects").absolute().as_uri()
    try:
        if url.startswith("file:"):
            folder = Path(urlsplit(url).path)
            return Objects(LocalStore(prefix=folder, mkdir=True))
        return Objects(from_url(url))
    except Exception as error:
        raise BadSettings(f"ENTREPOT_OBJECTS_URL: {error}") from error
