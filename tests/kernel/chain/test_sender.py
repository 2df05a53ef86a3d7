"""The transaction sender on a real node: no nonce twice, nothing lost, stuck ones paid for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from eth_account import Account

from entrepot.dev.anvil import Anvil, anvil
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.rpc import RpcError
from entrepot.kernel.chain.sender import Sender
from entrepot.kernel.db.database import Database
from tests.conftest import TestDatabase, settings_for

SINK = "0x000000000000000000000000000000000000dEaD"
AT_ONCE = timedelta(0)
NEVER = timedelta(days=1)


@pytest.fixture
async def node() -> AsyncIterator[Anvil]:
    async with anvil() as made:
        yield made


@pytest.fixture
async def doors(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database(database.url, settings_for(database)) as made:
        yield made


def sender(doors: Database, node: Anvil, stuck_after: timedelta = NEVER) -> Sender:
    key = Account.from_key(node.accounts[1].private_key)
    return Sender(doors, Chain("ethereum", 31_337, node.rpc, 1), key, stuck_after)


async def states(owner: asyncpg.Connection) -> list[str]:
    return [row[0] for row in await owner.fetch("SELECT state FROM core.chain_transactions ORDER BY nonce")]


async def mined(node: Anvil, tx_hash: str) -> None:
    while await node.rpc.receipt(tx_hash) is None:
        await asyncio.sleep(0.01)


async def test_senders_at_the_same_time_never_share_a_nonce(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    one, other = sender(doors, node), sender(doors, node)
    sent = await asyncio.gather(*((one, other)[n % 2].send(f"purpose {n}", SINK, b"") for n in range(20)))
    for tx_hash in sent:
        assert tx_hash is not None
        await mined(node, tx_hash)
    nonces = [row[0] for row in await owner.fetch("SELECT nonce FROM core.chain_transactions ORDER BY nonce")]
    assert nonces == list(range(20))
    await one.tend()
    assert set(await states(owner)) == {"mined"}


async def test_one_purpose_is_sent_once_while_it_is_open_and_costs_no_nonce(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    await node.rpc.call("evm_setAutomine", [False])
    keeper = sender(doors, node)
    sent = await asyncio.gather(*(keeper.send("expire order 1", SINK, b"") for _ in range(8)))
    assert sum(tx_hash is not None for tx_hash in sent) == 1
    assert await owner.fetchval("SELECT next_nonce FROM core.chain_accounts") == 1


async def test_a_stuck_transaction_is_replaced_at_a_higher_fee_and_one_of_them_is_mined(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    await node.rpc.call("evm_setAutomine", [False])
    keeper = sender(doors, node, AT_ONCE)
    first = await keeper.send("release order 1", SINK, b"")
    await keeper.tend()
    hashes = await owner.fetchval("SELECT hashes FROM core.chain_transactions")
    assert hashes[0] == first
    assert len(hashes) == 2
    await node.mine(1)
    await sender(doors, node).tend()
    assert await states(owner) == ["mined"]
    assert await node.rpc.receipt(hashes[1]) is not None


async def test_what_the_node_forgot_is_sent_again_so_that_no_gap_stays(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    await node.rpc.call("evm_setAutomine", [False])
    keeper = sender(doors, node)
    forgotten = await keeper.send("a", SINK, b"")
    await keeper.send("b", SINK, b"")
    await node.rpc.call("anvil_dropTransaction", [forgotten])
    await keeper.tend()
    await node.mine(1)
    await keeper.tend()
    assert await states(owner) == ["mined", "mined"]


async def test_what_a_reorganisation_took_back_is_sent_again(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    keeper = sender(doors, node)
    sent = await keeper.send("a", SINK, b"")
    assert sent is not None
    await mined(node, sent)
    await keeper.tend()
    assert await states(owner) == ["mined"]
    await node.reorg(1)
    await keeper.tend()
    await mined(node, sent)
    await keeper.tend()
    assert await states(owner) == ["mined"]


async def test_a_call_that_would_revert_spends_no_nonce(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    reverts = await node.rpc.call(
        "eth_sendTransaction", [{"from": node.accounts[0].address, "data": "0x6460006000fd6000526005601bf3"}]
    )
    await mined(node, reverts)
    receipt = await node.rpc.receipt(reverts)
    assert receipt is not None
    assert receipt.contract is not None
    with pytest.raises(RpcError):
        await sender(doors, node).send("a", receipt.contract, b"")
    assert await owner.fetchval("SELECT count(*) FROM core.chain_transactions") == 0
    assert await owner.fetchval("SELECT count(*) FROM core.chain_accounts") == 0
