"""An endpoint that is not of the chain, or answers nonsense, is passed over where there is another."""

import pytest
from aiohttp import web

from entrepot.kernel.chain.rpc import BadAnswer, ChainUnreachable, Rpc, RpcError
from tests.kernel.chain.conftest import refusing


async def of_another_chain(body):
    if isinstance(body, dict) and body["method"] == "eth_chainId":
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": "0x38"})
    return None


async def down(_body):
    return web.Response(status=502)


async def without_hash(body):
    if isinstance(body, dict) and body["method"] == "eth_getBlockByNumber":
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": {"number": "0x1"}})
    return None


async def test_one_of_another_chain_is_never_asked_anything_else(provider, spare):
    provider.rule = of_another_chain
    async with Rpc([provider.url, spare.url], chain_id=31_337) as rpc:
        async with rpc.pinned() as node:
            await node.block()
        await rpc.block()
        assert set(provider.methods) == {"eth_chainId"}
        assert spare.methods.count("eth_getBlockByNumber") == 2
        spare.rule = down
        with pytest.raises(ChainUnreachable, match="is of chain 56, not 31337"):
            await rpc.block()


async def test_one_that_becomes_another_chain_s_is_found_out_when_it_is_back(provider):
    async with Rpc([provider.url], chain_id=31_337, attempts=1) as rpc:
        await rpc.block()
        provider.rule = down
        with pytest.raises(ChainUnreachable):
            await rpc.block()
        provider.rule = of_another_chain
        with pytest.raises(ChainUnreachable, match="is of chain 56"):
            await rpc.block()
        provider.rule = None
        await rpc.block()


async def test_after_nonsense_the_next_view_of_the_chain_is_another_endpoint_s(provider, spare):
    provider.rule = without_hash
    async with Rpc([provider.url, spare.url]) as rpc:
        with pytest.raises(BadAnswer):
            async with rpc.pinned() as node:
                await node.block()
        async with rpc.pinned() as node:
            assert (await node.block()).number == 0


async def test_after_a_refusal_to_read_the_next_view_is_another_endpoint_s(provider, spare):
    provider.rule = refusing(-32_601, "the method is not available", when=lambda body: "Block" in str(body))
    async with Rpc([provider.url, spare.url]) as rpc:
        with pytest.raises(RpcError):
            async with rpc.pinned() as node:
                await node.block()
        async with rpc.pinned() as node:
            assert (await node.block()).number == 0
