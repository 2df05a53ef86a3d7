"""A visitor of the market: a wallet and a NaCl key, and nothing of the server but its public HTTP interface."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import aiohttp
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from nacl.public import PrivateKey

from entrepot.console import Failed

Document = dict[str, Any]


def base64_of(raw: bytes) -> str:
    """As the interface carries bytes."""
    return base64.b64encode(raw).decode()


class Unexpected(Failed):
    """The server answered something else than the demonstration expects."""


class Visitor:
    """One who signs in and calls. `http` has the server's address as its base."""

    def __init__(self, name: str, wallet: LocalAccount, box: PrivateKey, http: aiohttp.ClientSession) -> None:
        self.name, self.wallet, self.box, self._http = name, wallet, box, http
        self.address: str = wallet.address
        self._token = ""

    @classmethod
    def of_seed(cls, name: str, seed: str, http: aiohttp.ClientSession) -> "Visitor":
        """Always the same for the same seed."""
        digest = hashlib.sha256(seed.encode()).digest()
        return cls(name, Account.from_key(digest), PrivateKey(hashlib.sha256(b"box" + digest).digest()), http)

    @classmethod
    def new(cls, name: str, http: aiohttp.ClientSession) -> "Visitor":
        """One who was never here before."""
        return cls(name, Account.create(), PrivateKey.generate(), http)

    @property
    def public_key(self) -> str:
        """What others encrypt to."""
        return base64_of(bytes(self.box.public_key))

    async def sign_in(self) -> None:
        """By a signed message (EIP-4361); the first time, the profile is made with the public key."""
        nonce = await self.call("POST", "auth/nonce", {"wallet": self.address})
        signed = self.wallet.sign_message(encode_defunct(text=nonce["message"]))
        given = {"message": nonce["message"], "signature": signed.signature.to_0x_hex(), "public_key": self.public_key}
        self._token = (await self.call("POST", "auth/verify", given))["token"]

    async def call(self, method: str, path: str, body: Document | None = None, *, key: str = "") -> Document:
        """The answer; raises `Unexpected` for a refusal. `key` is the idempotency key."""
        status, answer = await self.ask(method, path, body, key=key)
        if status >= 400:
            raise Unexpected(f"{method} /api/v1/{path} answers {status}: {answer.get('detail', answer)}")
        return answer

    async def ask(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        key: str = "",
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, Document]:
        """Status and answer, whatever they are."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        async with self._http.request(method, f"/api/v1/{path}", json=body, headers=headers, params=query) as answer:
            told: Document = await answer.json(content_type=None) if answer.content_length else {}
            return answer.status, told


def open_http(url: str) -> aiohttp.ClientSession:
    """Connections to the server, for as many visitors as share them."""
    return aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=30))
