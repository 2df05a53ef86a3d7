"""A real chain, a contract that logs whatever it is sent, and a real provider in front of the chain that misbehaves."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from entrepot.dev.anvil import anvil
from entrepot.kernel.chain.rpc import Rpc

# LOG3 with the first three words of the call data as topics and the rest as data
LOGS_ITS_INPUT = "0x604035602035600035606036038060606000376000a300"


@pytest.fixture
async def chain():
    async with anvil() as node:
        yield node


@pytest.fixture
async def rpc(chain):
    async with Rpc([chain.url]) as client:
        yield client


class Emitter:
    """A contract that logs its input: each call is one log with three topics."""

    address = "0x00000000000000000000000000000000000000e1"
    topic = "0x" + "a1" * 32

    def __init__(self, chain):
        self.chain = chain

    async def emit(self, number, *, topic=None, data="", wait=True):
        """One log whose second topic is `number`, in a block of its own unless not waited for. Returns the tx hash."""
        given = f"{topic or self.topic}{number:064x}{0:064x}{data}"
        deal = {"from": self.chain.accounts[0].address, "to": self.address, "data": given, "gas": "0x30d40"}
        tx_hash = await self.chain.rpc.call("eth_sendTransaction", [deal], type=str)
        if wait:
            await receipt_of(self.chain, tx_hash)
        return tx_hash

    async def emit_in_one_block(self, numbers):
        await self.chain.rpc.call("evm_setAutomine", [False])
        for number in numbers:
            await self.emit(number, wait=False)
        await self.chain.mine(1)
        await self.chain.rpc.call("evm_setAutomine", [True])


async def receipt_of(chain, tx_hash):
    """Anvil answers with the hash before the block is made."""
    for _ in range(2_000):
        if receipt := await chain.rpc.receipt(tx_hash):
            return receipt
        await asyncio.sleep(0.005)
    raise AssertionError(f"{tx_hash} is in no block")


@pytest.fixture
def settled(chain):
    return lambda tx_hash: receipt_of(chain, tx_hash)


@pytest.fixture
async def emitter(chain):
    await chain.rpc.call("anvil_setCode", [Emitter.address, LOGS_ITS_INPUT])
    return Emitter(chain)


class Provider:
    """An HTTP server that passes JSON-RPC on to the chain, except where `rule(body)` gives an answer of its own."""

    key = "b7f3-very-secret-key"

    def __init__(self, upstream):
        self.upstream, self.asked, self.rule = upstream, [], None

    async def answer(self, request):
        body = await request.json()
        self.asked.append(body)
        own = await self.rule(body) if self.rule else None
        if own is not None:
            return own
        return web.json_response(await self.pass_on(body))

    async def pass_on(self, body):
        async with self.session.post(self.upstream, json=body) as response:
            return await response.json()

    async def __aenter__(self):
        self.session = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_post("/v2/{key}", self.answer)
        self.runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self.runner.addresses[0][1]}"
        self.url = f"http://user:pass-word-1@{self.host}/v2/{self.key}?apikey=query-key-1"
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()
        await self.session.close()

    @property
    def methods(self):
        return [each["method"] for each in self.asked]


def refusing(code, message, *, status=200, when=lambda _body: True, data=None):
    """A rule that answers with a JSON-RPC error."""

    async def rule(body):
        if not when(body):
            return None
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        told = json.dumps({"jsonrpc": "2.0", "id": body["id"], "error": error})
        return web.Response(status=status, text=told, content_type="application/json")

    return rule


@pytest.fixture
def refuse():
    return refusing


@pytest.fixture
async def provider(chain):
    async with Provider(chain.url) as server:
        yield server


@pytest.fixture
async def spare(chain):
    async with Provider(chain.url) as server:
        yield server
