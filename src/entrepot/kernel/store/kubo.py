"""The object store in an IPFS node: Kubo, by its RPC (docs.ipfs.tech/reference/kubo/rpc)."""

import logging
from io import BytesIO
from typing import Self

import aiohttp
import msgspec

from entrepot.kernel.store.cid import CHUNK, Cid, cid_of
from entrepot.kernel.store.objects import ObjectMissing, Objects, unavailable

LOG = logging.getLogger("entrepot.store")
ADD = {
    "cid-version": "1",
    "raw-leaves": "true",
    "chunker": f"size-{CHUNK}",
    "hash": "sha2-256",
    "pin": "true",
    "quieter": "true",
}
"""Everything that an address depends on and a node may have other defaults for."""
PATIENCE = 20.0  # seconds; a call has a database connection waiting for it


class Added(msgspec.Struct, frozen=True):
    """What `add` answers."""

    Hash: str


class Kubo(Objects):
    """Objects in one node, pinned there. Reading asks that node only for what it has: `offline`."""

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self.url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=patience)
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def put(self, content: bytes) -> Cid:
        address, form = cid_of(content), aiohttp.FormData()
        form.add_field("file", BytesIO(content), filename=address, content_type="application/octet-stream")
        status, body = await self._call("add", ADD, form)
        try:
            given = msgspec.json.decode(body, type=Added).Hash if status == 200 else body[:200].decode()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            given = str(error)
        if given != address:
            LOG.warning("kubo added %s as: %s %s", address, status, given)
            raise unavailable()
        return address

    async def read(self, address: Cid) -> bytes:
        status, body = await self._call("cat", {"arg": address, "offline": "true"})
        if status == 200:
            return body
        if status == 500:  # Kubo's status for every failure of a command, be it that the block is not there
            LOG.info("kubo has no %s: %s", address, body[:200])
            raise ObjectMissing(address)
        LOG.warning("kubo did not read %s: %s", address, status)
        raise unavailable()

    async def _call(
        self, command: str, query: dict[str, str], form: aiohttp.FormData | None = None
    ) -> tuple[int, bytes]:
        assert self._http is not None, "open the store first"
        try:
            url = f"{self.url}/api/v0/{command}"
            async with self._http.post(url, params=query, data=form) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            LOG.warning("kubo does not answer to %s: %s", command, str(error) or type(error).__name__)
            raise unavailable() from None
