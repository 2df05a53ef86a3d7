"""The transaction sender on a real node: no nonce twice, nothing lost, stuck ones paid for."""

import asyncio

import asyncpg
import pytest

from entrepot.dev.anvil import Anvil
from entrepot.kernel.chain.rpc import RpcError
from entrepot.kernel.db.database import Database
from tests.kernel.chain.sending import AT_ONCE, SINK, sender


async def states(owner: asyncpg.Connection) -> list[str]:
    return [row[0] for row in await owner.fetch("SELECT state FROM core.chain_transactions ORDER BY nonce")]


async def mined(chain: Anvil, tx_hash: str) -> None:
    while await chain.rpc.receipt(tx_hash) is None:
        await asyncio.sleep(0.01)


async def test_senders_at_the_same_time_never_share_a_nonce(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    one, other = sender(doors, chain), sender(doors, chain)
    sent = await asyncio.gather(*((one, other)[n % 2].send(f"purpose {n}", SINK, b"") for n in range(20)))
    for tx_hash in sent:
        assert tx_hash is not None
        await mined(chain, tx_hash)
    nonces = [row[0] for row in await owner.fetch("SELECT nonce FROM core.chain_transactions ORDER BY nonce")]
    assert nonces == list(range(20))
    await one.tend()
    assert set(await states(owner)) == {"mined"}


async def test_one_purpose_is_sent_once_while_it_is_open_and_costs_no_nonce(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    await chain.rpc.call("evm_setAutomine", [False])
    keeper = sender(doors, chain)
    sent = await asyncio.gather(*(keeper.send("expire order 1", SINK, b"") for _ in range(8)))
    assert sum(tx_hash is not None for tx_hash in sent) == 1
    assert await owner.fetchval("SELECT next_nonce FROM core.chain_accounts") == 1


async def test_a_stuck_transaction_is_replaced_at_a_higher_fee_and_one_of_them_is_mined(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    await chain.rpc.call("evm_setAutomine", [False])
    keeper = sender(doors, chain, AT_ONCE)
    first = await keeper.send("release order 1", SINK, b"")
    await keeper.tend()
    hashes = await owner.fetchval("SELECT hashes FROM core.chain_transactions")
    assert hashes[0] == first
    assert len(hashes) == 2
    await chain.mine(1)
    await sender(doors, chain).tend()
    assert await states(owner) == ["mined"]
    assert await chain.rpc.receipt(hashes[1]) is not None


async def test_what_the_node_forgot_is_sent_again_so_that_no_gap_stays(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    await chain.rpc.call("evm_setAutomine", [False])
    keeper = sender(doors, chain)
    forgotten = await keeper.send("a", SINK, b"")
    await keeper.send("b", SINK, b"")
    await chain.rpc.call("anvil_dropTransaction", [forgotten])
    await keeper.tend()
    await chain.mine(1)
    await keeper.tend()
    assert await states(owner) == ["mined", "mined"]


async def test_what_a_reorganisation_took_back_is_sent_again(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    keeper = sender(doors, chain)
    sent = await keeper.send("a", SINK, b"")
    assert sent is not None
    await mined(chain, sent)
    await keeper.tend()
    assert await states(owner) == ["mined"]
    await chain.reorg(1)
    await keeper.tend()
    await mined(chain, sent)
    await keeper.tend()
    assert await states(owner) == ["mined"]


async def test_a_call_that_would_revert_spends_no_nonce(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    reverts = await chain.rpc.call(
        "eth_sendTransaction", [{"from": chain.accounts[0].address, "data": "0x6460006000fd6000526005601bf3"}]
    )
    await mined(chain, reverts)
    receipt = await chain.rpc.receipt(reverts)
    assert receipt is not None
    assert receipt.contract is not None
    with pytest.raises(RpcError):
        await sender(doors, chain).send("a", receipt.contract, b"")
    assert await owner.fetchval("SELECT count(*) FROM core.chain_transactions") == 0
    assert await owner.fetchval("SELECT count(*) FROM core.chain_accounts") == 0
