"""What an object store promises, whatever holds it: bytes that are found again by their IPFS address."""

import logging
from abc import ABC, abstractmethod
from typing import Self

from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.store.cid import Cid, cid_of

LOG = logging.getLogger("entrepot.store")


class ObjectMissing(LookupError):
    """There is no object of that address."""


class ObjectAltered(Exception):
    """What lies at an address has another one: the store is damaged, or somebody changed it."""


class Objects(ABC):
    """Objects by content. The address is the CID, so the same bytes are kept once and anyone can check them.

    An object is written whole or not at all, and never again: who reads an address gets what was put there, or
    `ObjectMissing` or `ObjectAltered`. All calls refuse with `Unavailable` where the store does not answer.
    """

    async def __aenter__(self) -> Self:
        """Connects, where there is anything to connect to."""
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Lets go of it."""
        return

    def address(self, content: bytes) -> Cid:
        """What the address of these bytes is, be they kept or not."""
        return cid_of(content)

    @abstractmethod
    async def put(self, content: bytes) -> Cid:
        """The address of these bytes, which are there afterwards."""

    async def get(self, address: Cid) -> bytes:
        """The bytes of an address, checked. Raises `ObjectMissing` and `ObjectAltered`."""
        content = await self.read(address)
        if cid_of(content) != address:
            LOG.error("the object store holds something else at %s", address)
            raise ObjectAltered(address)
        return content

    @abstractmethod
    async def read(self, address: Cid) -> bytes:
        """What the store has at an address, not checked. Raises `ObjectMissing`."""


def unavailable() -> Unavailable:
    """The refusal for a store that does not answer, or not as it should."""
    return Unavailable(part="object store")
