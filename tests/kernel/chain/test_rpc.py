"""The JSON-RPC client against a real node, straight and through a provider that misbehaves."""

import asyncio
import time
import traceback

import eth_abi
import pytest
from aiohttp import web
from eth_account import Account

from entrepot.kernel.chain.endpoint import revert_reason
from entrepot.kernel.chain.rpc import BadAnswer, ChainUnreachable, NoSuchBlock, Rpc, RpcError

REVERTER = "0x00000000000000000000000000000000000000ee"
REVERTS_WITH_ITS_INPUT = "0x366000600037366000fd"  # copies the call data and reverts with it
NOBODY = "0x" + "7" * 40


async def status_429(_body):
    return web.Response(status=429)


async def status_500(_body):
    return web.Response(status=500, text="<html>oh no</html>")


async def unauthorised(_body):
    return web.json_response({"error": {"code": -32600, "message": "Must be authenticated!"}}, status=401)


async def hangs(_body):
    await asyncio.sleep(30)


async def nonsense(_body):
    return web.Response(text="<html>maintenance</html>")


async def other_id(_body):
    return web.json_response({"jsonrpc": "2.0", "id": 999_999_999, "result": "0x1"})


async def rate_limited(body):
    error = {"code": -32005, "message": "daily request count exceeded, request rate limited"}
    return web.json_response({"jsonrpc": "2.0", "id": body["id"], "error": error})


FAULTS = [status_429, status_500, unauthorised, hangs, nonsense, other_id, rate_limited]


def signed(chain, nonce, value=1):
    deal = {"to": NOBODY, "value": value, "gas": 21_000, "maxFeePerGas": 3 * 10**9, "maxPriorityFeePerGas": 10**9}
    return Account.sign_transaction(
        deal | {"nonce": nonce, "chainId": 31_337}, chain.accounts[1].private_key
    ).raw_transaction


async def test_a_block_is_the_same_by_number_hash_and_tag(chain, rpc):
    newest = await chain.mine(3)
    assert await rpc.block() == await rpc.block(3) == await rpc.block(newest.hash) == newest
    assert (await rpc.block(2)).hash == newest.parent_hash
    assert newest.number == await rpc.head() == 3
    assert abs(newest.timestamp - time.time()) < 60


async def test_a_block_that_the_node_lacks_is_named(chain, rpc):
    await chain.mine(2)
    with pytest.raises(NoSuchBlock, match="no block 7"):
        await rpc.block(7)
    with pytest.raises(NoSuchBlock, match="no block 3"):
        await rpc.blocks([1, 2, 3])


async def test_many_blocks_come_in_the_order_asked_for(chain, rpc, provider):
    async def backwards(body):
        return web.json_response((await provider.pass_on(body))[::-1])

    await chain.mine(250)
    numbers = [*range(250, 0, -1)]
    provider.rule = backwards
    async with Rpc([provider.url]) as client:
        blocks = await client.blocks(numbers)
    assert [block.number for block in blocks] == numbers
    assert [len(body) for body in provider.asked] == [100, 100, 50]


async def test_the_first_refusal_in_a_batch_is_raised(rpc):
    with pytest.raises(RpcError, match="eth_nope") as refused:
        await rpc.batch([("eth_chainId", []), ("eth_nope", [])])
    assert refused.value.code == -32601


async def test_a_result_is_converted_to_the_type_asked_for(rpc):
    assert await rpc.call("eth_chainId", type=str) == "0x7a69"
    with pytest.raises(BadAnswer, match="eth_chainId"):
        await rpc.call("eth_chainId", type=int)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_another_endpoint_answers_when_the_first_misbehaves(provider, spare, fault):
    provider.rule = fault
    async with Rpc([provider.url, spare.url], timeout=1) as rpc:
        assert await rpc.chain_id() == 31_337
        assert await rpc.chain_id() == 31_337
    assert len(provider.asked) == 1  # it rests
    assert len(spare.asked) == 2


async def test_another_endpoint_answers_when_nobody_listens_at_the_first(spare):
    async with Rpc(["http://127.0.0.1:1", spare.url]) as rpc:
        assert await rpc.chain_id() == 31_337


async def test_an_endpoint_is_asked_again_after_its_rest(provider, spare):
    provider.rule = status_500
    async with Rpc([provider.url, spare.url], cool_down=0.2) as rpc:
        await rpc.chain_id()
        provider.rule = None
        await asyncio.sleep(0.25)
        await rpc.chain_id()
    assert (len(provider.asked), len(spare.asked)) == (2, 1)


@pytest.mark.parametrize("fault", [status_500, rate_limited, nonsense], ids=lambda fault: fault.__name__)
async def test_a_single_endpoint_is_asked_again_until_it_recovers(provider, fault):
    async def twice(body):
        return await fault(body) if len(provider.asked) < 3 else None

    provider.rule = twice
    async with Rpc([provider.url]) as rpc:
        assert await rpc.chain_id() == 31_337
    assert len(provider.asked) == 3


async def test_the_tries_are_bounded(provider):
    provider.rule = status_500
    async with Rpc([provider.url], attempts=3) as rpc:
        with pytest.raises(ChainUnreachable):
            await rpc.chain_id()
    assert len(provider.asked) == 3


async def test_an_endpoint_that_names_a_wait_is_given_it(provider):
    async def once(_body):
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(provider.asked) < 2 else None

    provider.rule = once
    async with Rpc([provider.url]) as rpc:
        started = time.monotonic()
        await rpc.chain_id()
    assert 0.9 < time.monotonic() - started < 3


async def test_a_wrong_key_is_not_tried_again(provider):
    provider.rule = unauthorised
    async with Rpc([provider.url]) as rpc:
        with pytest.raises(ChainUnreachable, match="HTTP 401: Must be authenticated"):
            await rpc.chain_id()
    assert len(provider.asked) == 1


async def test_a_refusal_is_not_tried_again(provider, spare, refuse):
    provider.rule = refuse(-32000, "insufficient funds for gas", data={"more": 1})
    async with Rpc([provider.url, spare.url]) as rpc:
        with pytest.raises(RpcError, match="insufficient funds") as refused:
            await rpc.call("eth_sendTransaction")
    assert (refused.value.code, refused.value.data) == (-32000, {"more": 1})
    assert (len(provider.asked), len(spare.asked)) == (1, 0)


async def test_no_error_gives_away_what_is_secret_in_an_address(provider, refuse):
    provider.rule = refuse(-32000, f"project {provider.key} of pass-word-1 with query-key-1 is over its plan")
    async with Rpc([provider.url, "http://u:pass-word-2@127.0.0.1:1/key-of-the-other"], attempts=1) as rpc:
        with pytest.raises(RpcError) as refused:
            await rpc.chain_id()
        provider.rule = status_500
        with pytest.raises(ChainUnreachable) as unreachable:
            await rpc.chain_id()
    told = "".join(traceback.format_exception(refused.value) + traceback.format_exception(unreachable.value))
    assert provider.host in told
    for secret in (provider.key, "pass-word-1", "query-key-1", "pass-word-2", "key-of-the-other", "/v2/"):
        assert secret not in told
    assert unreachable.value.endpoints == (provider.host, "127.0.0.1:1")


async def test_an_address_that_is_not_http_is_refused_without_repeating_it():
    with pytest.raises(ValueError, match="http://") as refused:
        Rpc(["wss://node.example/secret-key"])
    assert "secret-key" not in str(refused.value)


async def test_a_client_that_was_not_opened_says_so(chain):
    with pytest.raises(RuntimeError, match="async with"):
        await Rpc([chain.url]).chain_id()


async def test_pinned_reads_stay_on_one_endpoint(provider, spare):
    provider.rule = status_500
    async with Rpc([provider.url, spare.url], attempts=1) as rpc:
        async with rpc.pinned() as node:
            provider.rule = None
            assert (await node.block()).number == await node.head() == 0
            spare.rule = status_500
            with pytest.raises(ChainUnreachable) as unreachable:
                await node.head()
        assert unreachable.value.endpoints == (spare.host,)
        assert await rpc.head() == 0


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [("08c379a0", ("string", "order is not open"), "order is not open"), ("4e487b71", ("uint256", 17), "overflow")],
)
async def test_a_revert_tells_the_contracts_own_reason(chain, rpc, kind, value, reason):
    await chain.rpc.call("anvil_setCode", [REVERTER, REVERTS_WITH_ITS_INPUT])
    with pytest.raises(RpcError, match=reason) as refused:
        await rpc.call_contract(REVERTER, bytes.fromhex(kind) + eth_abi.encode([value[0]], [value[1]]))
    assert reason in refused.value.reason


@pytest.mark.parametrize("data", [None, "0x", 7, {"data": None}, "0x08c379a0" + "ff" * 64, "0x12345678", ["0x"]])
def test_a_revert_without_a_readable_reason_has_none(data):
    assert revert_reason(data) is None


@pytest.mark.parametrize("wrap", [str, lambda text: {"data": text}, lambda text: f"Reverted {text}"])
def test_a_reason_is_found_wherever_nodes_put_it(wrap):
    data = "0x08c379a0" + eth_abi.encode(["string"], ["no"]).hex()
    assert revert_reason(wrap(data)) == "no"


async def test_a_contract_can_be_read_as_it_was(chain, rpc):
    answers = "0x4360005260206000f3"  # the block's number
    await chain.rpc.call("anvil_setCode", [REVERTER, answers])
    old = await chain.mine(1)
    await chain.mine(5)
    assert int.from_bytes(await rpc.call_contract(REVERTER, b"", old.hash)) == old.number
    assert int.from_bytes(await rpc.call_contract(REVERTER, b"", 3)) == 3
    assert await rpc.code(REVERTER) == bytes.fromhex(answers[2:])


async def test_sending_the_same_transaction_again_is_no_error(chain, rpc):
    await chain.rpc.call("evm_setAutomine", [False])
    first, late = signed(chain, 0), signed(chain, 0, value=2)
    waiting = await rpc.send_raw(first)
    assert await rpc.send_raw(first) == waiting
    assert await rpc.receipt(waiting) is None
    assert await rpc.nonce(chain.accounts[1].address) == 1
    await chain.mine(1)
    assert await rpc.send_raw(first) == waiting
    assert (await rpc.receipt(waiting)).succeeded
    assert await rpc.balance(NOBODY) == 1
    with pytest.raises(RpcError, match="nonce"):
        await rpc.send_raw(late)


async def test_a_receipt_holds_the_logs_and_what_was_paid(rpc, emitter):
    tx_hash = await emitter.emit(5)
    receipt = await rpc.receipt(tx_hash)
    assert receipt.succeeded
    assert receipt.contract is None
    assert receipt.gas_used > 21_000
    assert receipt.gas_price > 0
    (log,) = receipt.logs
    assert (log.address, log.tx_hash, log.block_hash) == (emitter.address, tx_hash, receipt.block_hash)
    assert log.topics == (emitter.topic, f"0x{5:064x}", f"0x{0:064x}")


async def test_a_receipt_names_the_contract_that_was_made(chain, rpc, settled):
    deal = {"from": chain.accounts[0].address, "data": "0x600160005360016000f3"}
    receipt = await settled(await chain.rpc.call("eth_sendTransaction", [deal], type=str))
    assert await rpc.code(receipt.contract) == b"\x01"


async def test_fees_let_a_transaction_pass(chain, rpc):
    fees = await rpc.fees()
    assert fees.base == (await rpc.block()).base_fee > 0
    assert fees.most >= fees.base + fees.priority
    gas = await rpc.estimate_gas({"from": chain.accounts[0].address, "to": NOBODY, "value": "0x1"})
    assert gas == 21_000


async def test_fees_come_from_the_gas_price_where_there_is_no_priority_fee(provider, refuse):
    provider.rule = refuse(-32601, "no such method", when=lambda body: body["method"] == "eth_maxPriorityFeePerGas")
    async with Rpc([provider.url]) as rpc:
        fees = await rpc.fees()
    assert provider.methods[-1] == "eth_gasPrice"
    assert fees.priority > 0
