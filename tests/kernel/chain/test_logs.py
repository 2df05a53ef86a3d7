"""The log source against a real node, and against every way in which providers refuse a range."""

import asyncio
import json

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.kernel.chain.logs import TooManyLogs, _Span, fetch, is_too_much, pages
from entrepot.kernel.chain.rpc import BadAnswer, ChainUnreachable, Rpc, RpcError

TOO_MUCH = [
    (-32005, "query returned more than 10000 results"),
    (-32000, "query returned more than 10000 results. Try with this block range [0x5c699f, 0x5c69ff]."),
    (-32602, "range 1000000 exceeds limit of 10000"),
    (-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range"),
    (-32600, "You can make eth_getLogs requests with up to a 500 block range."),
    (-32600, "block range is too wide"),
    (-32614, "eth_getLogs is limited to a 10,000 range"),
    (-32000, "block range is larger than max block range, block range = 5120, max block range = 5000"),
    (-32000, "block range is bigger than maxBlockRange"),
    (-32000, "exceed maximum block range: 5000"),
    (-32000, "requested too many blocks from 1 to 5000, maximum is set to 2048"),
    (-32047, "Max range: 800"),
    (-32000, "Maximum allowed number of requested blocks is 1000"),
    (35, "ranges over 10000 blocks are not supported on freetier"),
    (-32000, "eth_getLogs is limited to 1024 block range. Please check the parameter requirements"),
    (-32603, "response size should not greater than 10000000 bytes"),
    (-32020, "backend response too large"),
    (-32000, "query exceeds max results 20000, retry with the range 1-2"),
    (-32000, "logs matched by query exceeds limit of 10000"),
    (-32602, "please limit the query to at most 1,000 blocks"),
    (-32000, "eth_getLogs range is too large, max is 10k blocks"),
    (-32000, "query must be smaller than size 1024"),
    (-32602, "maximum [from, to] blocks distance: 100"),
    (-32000, "exceeds the range allowed for your plan (1000 > 500)"),
    (-32002, "query timeout exceeded"),
    (-32005, "limit exceeded"),
    (413, "the response size or the request is too large for the endpoint"),
]
OTHERWISE = [
    (-32000, "invalid block range params"),
    (-32602, "BlockOutOfRangeError: block height is 0 but requested was 100"),
    (-32000, "block range extends beyond current head block"),
    (-32000, "header not found"),
    (-32602, "invalid argument 0: hex string without 0x prefix"),
    (-32601, "the method eth_getLogs does not exist"),
    (-32002, "history has been pruned for this block"),
]


def width(body):
    wanted = body["params"][0]
    return int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1


def getting_logs(body):
    return body["method"] == "eth_getLogs"


def wider_than(blocks):
    return lambda body: getting_logs(body) and width(body) > blocks


async def numbers(node, emitter, first, last, **options):
    """The numbers that were emitted, as the log source tells them."""
    return [
        int(log.topics[1], 16) async for log in fetch(node, emitter.address, [emitter.topic], first, last, **options)
    ]


@pytest.fixture
async def history(chain, emitter):
    """Forty blocks with the logs 0 to 19: ten alone, then ten in one block, then silence."""
    for number in range(10):
        await emitter.emit(number)
    await emitter.emit_in_one_block(range(10, 20))
    await chain.mine(40 - await chain.rpc.head())
    return emitter


@pytest.mark.parametrize(("code", "message"), TOO_MUCH, ids=lambda given: str(given)[:40])
def test_a_refusal_of_the_range_is_known_for_one(code, message):
    assert is_too_much(RpcError(code, message))


def test_a_refusal_of_the_range_is_known_when_it_hides_in_the_data():
    data = {"error_id": "4ed94073", "payload": "range 9009594 is bigger than range limit 2000"}
    assert is_too_much(RpcError(-32602, "invalid params", data))


@pytest.mark.parametrize(("code", "message"), OTHERWISE, ids=lambda given: str(given)[:40])
def test_another_refusal_is_not_taken_for_one_of_the_range(code, message):
    assert not is_too_much(RpcError(code, message))


@pytest.mark.parametrize("span", [1, 7, 40, 2_000])
async def test_the_logs_are_complete_and_in_order_whatever_the_span(rpc, history, span):
    found = [log async for log in fetch(rpc, history.address, [history.topic], 0, 40, span=span)]
    assert [int(log.topics[1], 16) for log in found] == [*range(20)]
    places = [(log.block_number, log.log_index) for log in found]
    assert places == sorted(set(places))
    for log in found:
        assert (await rpc.block(log.block_number)).hash == log.block_hash


@pytest.mark.parametrize("most", [1, 3, 9, 10, 11, 19, 20])
@pytest.mark.parametrize("span", [7, 40])
async def test_a_page_holds_no_more_than_it_is_to_and_whole_blocks_only(rpc, history, most, span):
    found = [page async for page in pages(rpc, history.address, [history.topic], 0, 40, span=span, most=most)]
    assert [int(log.topics[1], 16) for page in found for log in page.logs] == [*range(20)]
    assert [page.first for page in found] == [0, *(page.last + 1 for page in found[:-1])]
    assert found[-1].last == 40
    for page in found:
        assert all(page.first <= log.block_number <= page.last for log in page.logs)
        assert len(page.logs) <= most or len({log.block_number for log in page.logs}) == 1


async def test_a_part_of_the_range_brings_its_part_of_the_logs(rpc, history):
    assert await numbers(rpc, history, 3, 5) == [2, 3, 4]
    assert await numbers(rpc, history, 12, 40) == []
    assert await numbers(rpc, history, 6, 5) == []


async def test_topics_and_addresses_choose(rpc, history):
    await history.emit(77, topic="0x" + "b2" * 32)
    every = [log async for log in fetch(rpc, None, [], 0, 41)]
    assert len(every) == 21
    some = [log async for log in fetch(rpc, [history.address], [["0x" + "b2" * 32, "0x" + "c3" * 32]], 0, 41)]
    assert [int(log.topics[1], 16) for log in some] == [77]
    assert [log async for log in fetch(rpc, "0x" + "7" * 40, [], 0, 41)] == []


@pytest.mark.parametrize("limit", [1, 3, 16])
async def test_a_provider_that_limits_the_range_is_served_in_smaller_ones(provider, history, refuse, limit):
    provider.rule = refuse(-32000, "block range is too wide", when=wider_than(limit))
    async with Rpc([provider.url]) as rpc:
        assert await numbers(rpc, history, 0, 40) == [*range(20)]
    assert len(provider.asked) < 41 / limit * 1.5 + 12


async def test_a_provider_that_limits_the_results_is_served_in_smaller_ranges(provider, history):
    async def ten_at_most(body):
        answer = await provider.pass_on(body)
        if len(answer["result"]) <= 10:
            return web.json_response(answer)
        error = {"code": -32005, "message": "query returned more than 10 results"}
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "error": error})

    provider.rule = ten_at_most
    async with Rpc([provider.url]) as rpc:
        assert await numbers(rpc, history, 0, 40) == [*range(20)]


async def test_the_range_grows_again_after_the_crowded_part(provider, history, refuse):
    def crowded(body):
        return width(body) > 1 and int(body["params"][0]["fromBlock"], 16) < 4

    provider.rule = refuse(-32005, "query returned more than 10000 results", when=crowded)
    async with Rpc([provider.url]) as rpc:
        assert await numbers(rpc, history, 0, 40) == [*range(20)]
    assert max(width(body) for body in provider.asked[-3:]) > 4


async def test_the_range_that_a_provider_suggests_is_taken(provider, history, refuse):
    told = "Log response size exceeded. Based on your parameters, this block range should work: [0x0, 0xb]"
    provider.rule = refuse(-32602, told, when=wider_than(12))
    async with Rpc([provider.url]) as rpc:
        assert await numbers(rpc, history, 0, 40) == [*range(20)]
    assert [width(body) for body in provider.asked[:2]] == [41, 12]


async def test_a_single_block_that_is_too_large_is_named_with_the_nodes_own_words(provider, history, refuse):
    def holds_block_11(body):
        wanted = body["params"][0]
        return int(wanted["fromBlock"], 16) <= 11 <= int(wanted["toBlock"], 16)

    provider.rule = refuse(-32005, "query returned more than 9 results", when=holds_block_11)
    found = []

    async def take(rpc):
        async for page in pages(rpc, history.address, [history.topic], 0, 40):
            found.extend(int(log.topics[1], 16) for log in page.logs)

    async with Rpc([provider.url]) as rpc:
        with pytest.raises(TooManyLogs, match=r"block 11 .*more than 9 results") as stuck:
            await take(rpc)
    assert stuck.value.block == 11
    assert found == [*range(10)]


async def test_a_range_that_the_provider_cannot_answer_in_time_is_halved(provider, history):
    async def slow_when_wide(body):
        if wider_than(16)(body):
            await asyncio.sleep(30)

    provider.rule = slow_when_wide
    async with Rpc([provider.url], timeout=1, attempts=1) as rpc:
        assert await numbers(rpc, history, 0, 40) == [*range(20)]


async def test_a_provider_that_answers_nothing_in_time_is_unreachable(provider, history):
    async def slow(_body):
        await asyncio.sleep(30)

    provider.rule = slow
    async with Rpc([provider.url], timeout=1, attempts=1) as rpc:
        with pytest.raises(ChainUnreachable):
            await numbers(rpc, history, 0, 40)
    assert provider.methods == ["eth_getLogs", "eth_blockNumber"]


async def test_a_range_beyond_the_head_is_refused_and_not_halved(provider, history):
    async with Rpc([provider.url]) as rpc:
        with pytest.raises(RpcError, match="BlockOutOfRange"):
            await numbers(rpc, history, 41, 80)
    assert len(provider.asked) == 1


async def test_pages_leave_no_block_out(provider, history, refuse):
    provider.rule = refuse(-32000, "block range is too wide", when=wider_than(5))
    async with Rpc([provider.url]) as rpc:
        found = [page async for page in pages(rpc, history.address, [history.topic], 2, 40)]
    assert [n for page in found for n in range(page.first, page.last + 1)] == [*range(2, 41)]
    assert all(page.first <= log.block_number <= page.last for page in found for log in page.logs)


def twice(logs):
    return [*logs, logs[-1]]


def outside(logs):
    return [*logs, logs[-1] | {"blockNumber": "0xff"}]


def two_chains(logs):
    return [*logs, logs[-1] | {"logIndex": "0xff", "blockHash": "0x" + "0" * 64}]


def without_hash(logs):
    return [*logs, logs[-1] | {"blockHash": None}]


@pytest.mark.parametrize("tampered", [twice, outside, two_chains, without_hash], ids=lambda each: each.__name__)
async def test_a_page_that_does_not_hold_together_is_refused(provider, history, tampered):
    async def rule(body):
        answer = await provider.pass_on(body)
        return web.Response(text=json.dumps(answer | {"result": tampered(answer["result"])}))

    provider.rule = rule
    async with Rpc([provider.url]) as rpc:
        with pytest.raises(BadAnswer):
            await numbers(rpc, history, 0, 40)


async def test_logs_in_disorder_are_put_in_order_and_removed_ones_left_out(provider, history):
    async def rule(body):
        answer = await provider.pass_on(body)
        undone = answer["result"][0] | {"removed": True, "logIndex": "0x63"}
        shouted = [log | {"address": log["address"].upper().replace("X", "x")} for log in answer["result"]]
        return web.json_response(answer | {"result": [undone, *shouted[::-1]]})

    provider.rule = rule
    async with Rpc([provider.url]) as rpc:
        found = [log async for log in fetch(rpc, history.address, [history.topic], 0, 40)]
    assert [int(log.topics[1], 16) for log in found] == [*range(20)]
    assert {log.address for log in found} == {history.address}


@settings(deadline=None)
@given(limit=st.integers(1, 3_000), most=st.integers(1, 5_000))
def test_a_steady_limit_costs_few_refusals(limit, most):
    span, served, refused = _Span(most), 0, 0
    while served + refused < 1_000:
        if span.blocks > limit:
            refused += 1
            span.refused(span.blocks, 0)
        else:
            served += 1
            span.succeeded()
        assert 1 <= span.blocks <= most
    assert refused < 12 + 1_000 / 40
