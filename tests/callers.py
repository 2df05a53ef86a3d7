"""People who call a running server over HTTP, and what a test holds its database against."""

import base64
import secrets
from dataclasses import dataclass, field
from typing import Any, ClassVar

import aiohttp
import asyncpg
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount


def public_key() -> str:
    """A NaCl public key, as far as a server can tell."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass
class Answer:
    """What a call was answered."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class Caller:
    """Somebody who calls the server; with a token once signed in. Paths are below those of an app."""

    app: ClassVar[str]
    http: aiohttp.ClientSession
    account: LocalAccount = field(default_factory=Account.create)
    key: str = field(default_factory=public_key)
    token: str = ""

    @property
    def wallet(self) -> str:
        return str(self.account.address)

    async def call(self, method: str, path: str, *, key: str | None = None, **more: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= more.pop("headers", {})
        root = "/api/v1/" if path.startswith(("auth/", "monitoring/")) else f"/api/v1/{self.app}/"
        async with self.http.request(method, root + path, headers=headers, **more) as answer:
            body = await answer.json(content_type=None) if answer.status != 204 else None
            return Answer(answer.status, body, dict(answer.headers))

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.call("GET", path, params=query)

    async def post(self, path: str, **body: Any) -> Answer:
        return await self.call("POST", path, json=body)

    async def put(self, path: str, **body: Any) -> Answer:
        return await self.call("PUT", path, json=body)

    async def patch(self, path: str, **body: Any) -> Answer:
        return await self.call("PATCH", path, json=body)

    async def delete(self, path: str, **query: Any) -> Answer:
        return await self.call("DELETE", path, params=query)

    async def sign_in(self, public_key: str | None = None) -> Answer:
        nonce = (await self.post("auth/nonce", wallet=self.wallet)).body
        signature = self.account.sign_message(encode_defunct(text=nonce["message"])).signature.to_0x_hex()
        given = {"message": nonce["message"], "signature": signature}
        answer = await self.post("auth/verify", **given, **({"public_key": public_key} if public_key else {}))
        if answer.status == 200:
            self.token = answer.body["token"]
        return answer


def refused(answer: Answer, status: int, kind: str, **facts: str) -> None:
    """The answer is that refusal, with these facts."""
    assert (answer.status, answer.body["type"]) == (status, f"/problems/{kind}"), answer.body
    assert {name: answer.body[name] for name in facts} == facts


async def snapshot(owner: asyncpg.Connection, *schemas: str) -> dict[str, tuple[int, int]]:
    """How many rows each table has and which transaction was the last to write one.

    Without the floor of the outbox, where the first server that streams notes whose history it is.
    """
    tables = await owner.fetch(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
        " WHERE schemaname = ANY($1) AND tablename <> 'outbox_floor'",
        [*schemas, "core"],
    )
    return {
        row[0]: tuple(await owner.fetchrow(f"SELECT count(*), max(xmin::text::bigint) FROM {row[0]}")) for row in tables
    }
