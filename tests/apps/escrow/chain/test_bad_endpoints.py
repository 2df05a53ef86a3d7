"""The mirror where its first endpoint is of another chain, stands still, lags behind or leaves events out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from entrepot.apps.escrow.tasks import escrow_indexer
from entrepot.dev.anvil import anvil
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.chain.rpc import ChainFailure
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings
from tests.apps.escrow.agreement import disagreements
from tests.apps.escrow.chain.deals import buy
from tests.bazaar import Bazaar
from tests.kernel.chain.conftest import Provider

Rule = Callable[[Any], Awaitable[web.Response | None]]


@pytest.fixture
async def provider(market: Bazaar) -> AsyncIterator[Any]:
    """What stands in front of the chain's node, and may misbehave."""
    async with Provider(market.node.url) as made:  # type: ignore[no-untyped-call]
        yield made


@asynccontextmanager
async def reading(doors: Database, market: Bazaar, *endpoints: str) -> AsyncIterator[Indexer]:
    """The mirror by these endpoints, the first preferred."""
    async with Chains([ChainSettings(market.chain, market.chain_id, endpoints, confirmations=1)]) as chains:
        indexer = await escrow_indexer(doors, chains, market.chain)
        assert indexer is not None
        indexer.stalled_after = 0.2
        yield indexer


async def agrees(indexer: Indexer, owner: asyncpg.Connection, market: Bazaar) -> bool:
    """Whether the mirror says what the contract does, within some seconds."""
    running = asyncio.create_task(indexer.run())
    try:
        for _ in range(100):
            if not await disagreements(owner, market):
                return True
            await asyncio.sleep(0.05)
        return False
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def with_head(market: Bazaar, number: int) -> Rule:
    """A node whose newest block is that one."""

    async def rule(body: Any) -> web.Response | None:
        if isinstance(body, dict) and body["method"] == "eth_getBlockByNumber" and body["params"][0] == "latest":
            head = await market.node.rpc.call("eth_getBlockByNumber", [hex(number), False])
            return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": head})
        return None

    return rule


async def without_logs(body: Any) -> web.Response | None:
    """A balancer whose node of the moment is not as far: it has no logs, and does not know the block's hash."""
    if not isinstance(body, dict) or body["method"] != "eth_getLogs":
        return None
    answer: dict[str, Any] = {"result": []}
    if "blockHash" in body["params"][0]:
        answer = {"error": {"code": -32_000, "message": "unknown block"}}
    return web.json_response({"jsonrpc": "2.0", "id": body["id"], **answer})


async def without_recent_logs(body: Any) -> web.Response | None:
    """One whose index of logs is behind its blocks."""
    by_hash = isinstance(body, dict) and "blockHash" in str(body["params"])
    return None if by_hash else await without_logs(body)


async def of_another_fork(body: Any) -> web.Response | None:
    """A balancer whose node of the moment follows another fork."""
    if not isinstance(body, dict) or body["method"] != "eth_getLogs":
        return None
    log = {"address": "0x" + "11" * 20, "topics": ["0x" + "22" * 32], "data": "0x", "removed": False}
    log |= {"blockNumber": body["params"][0]["toBlock"], "blockHash": "0x" + "33" * 32, "logIndex": "0x0"}
    log |= {"transactionHash": "0x" + "44" * 32}
    return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": [log]})


async def test_an_endpoint_of_another_chain_takes_no_order_back(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    async with anvil(chain_id=56) as other:
        async with reading(doors, market, market.node.url) as indexer:
            await buy(market)
            await indexer.catch_up()
        await other.mine(2 * await market.node.rpc.head())
        async with reading(doors, market, other.url, market.node.url) as indexer:
            await indexer.catch_up()
            assert await owner.fetchval("SELECT count(*) FROM escrow.orders WHERE orphaned_at IS NULL") == 1
            await buy(market)
            await indexer.catch_up()
    assert await disagreements(owner, market) == []


@pytest.mark.parametrize("behind", [0, 2])
async def test_one_that_stands_still_or_lags_behind_gives_way_to_the_next(
    doors: Database, market: Bazaar, owner: asyncpg.Connection, provider: Any, behind: int
) -> None:
    await buy(market)
    async with reading(doors, market, provider.url, market.node.url) as indexer:
        await indexer.catch_up()
        provider.rule = with_head(market, await market.node.rpc.head() - behind)
        await buy(market)
        assert await agrees(indexer, owner, market)


@pytest.mark.parametrize("rule", [without_logs, without_recent_logs, of_another_fork])
async def test_no_event_is_passed_over_where_the_block_says_that_there_are_some(
    doors: Database, market: Bazaar, owner: asyncpg.Connection, provider: Any, rule: Rule
) -> None:
    async with reading(doors, market, provider.url) as indexer:
        await indexer.catch_up()
        provider.rule = rule
        await buy(market)
        with pytest.raises(ChainFailure, match=r"left out logs of block|logs of another block|unknown block"):
            await indexer.catch_up()
        provider.rule = None
        await indexer.catch_up()
    assert await disagreements(owner, market) == []
