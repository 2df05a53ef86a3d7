"""The object store in a folder, or in a bucket of a cloud."""

import asyncio
import logging

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore

from entrepot.kernel.store import durable
from entrepot.kernel.store.cid import Cid, cid_of
from entrepot.kernel.store.objects import ObjectMissing, Objects, unavailable

LOG = logging.getLogger("entrepot.store")


class Bucket(Objects):
    """Objects as files of a folder or a bucket. The store writes each under another name first and then renames it, or
    does what its cloud has for that, so that no reader sees half of one.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    async def put(self, content: bytes) -> Cid:
        address = cid_of(content)
        try:
            await asyncio.to_thread(durable.put, self.store, place(address), content, new=True)
        except AlreadyExistsError:
            await self.get(address)
        except (BaseError, OSError) as error:
            LOG.warning("%s was not kept: %s", address, error)
            raise unavailable() from error
        return address

    async def read(self, address: Cid) -> bytes:
        try:
            found = await obstore.get_async(self.store, place(address))
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            raise ObjectMissing(address) from None
        except (BaseError, OSError) as error:
            LOG.warning("%s was not read: %s", address, error)
            raise unavailable() from error


def place(address: Cid) -> str:
    """Where an object lies: in one of 1,024 folders, by the end of its address, since all begin alike."""
    return f"{address[-2:]}/{address}"
