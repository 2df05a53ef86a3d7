"""The sender when the chain is dear or the account is used elsewhere: what is due is mined all the same, and once."""

import asyncio
import itertools

import asyncpg
import pytest

from entrepot.dev.anvil import Anvil
from entrepot.kernel.db.database import Database
from tests.kernel.chain.sending import AT_ONCE, SINK, sender

DEAR = 500 * 10**9  # wei per gas


@pytest.fixture
async def node(chain: Anvil) -> Anvil:
    """A node that makes a block only when it is told to."""
    await chain.rpc.call("evm_setAutomine", [False])
    return chain


async def states(owner: asyncpg.Connection) -> list[tuple[int, str, int]]:
    """Nonce, state and number of attempts of each."""
    rows = await owner.fetch("SELECT nonce, state, cardinality(hashes) FROM core.chain_transactions ORDER BY nonce")
    return [tuple(row) for row in rows]


async def dear_block(node: Anvil) -> None:
    """A block that takes only those who pay the raised base fee."""
    await node.rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(DEAR)])
    await node.mine(1)


async def test_what_became_too_cheap_is_mined_at_a_higher_fee_in_the_order_of_nonces(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    keeper = sender(doors, node, AT_ONCE)
    firsts = [await keeper.send(f"release order {n}", SINK, b"") for n in range(3)]
    await dear_block(node)
    assert await node.rpc.nonce(keeper.address, "latest") == 0, "nobody takes it at that price"
    await keeper.tend()
    await dear_block(node)
    await sender(doors, node).tend()
    assert await states(owner) == [(n, "mined", 2) for n in range(3)]
    paid = await owner.fetchval("SELECT min(max_fee) FROM core.chain_transactions")
    assert paid >= DEAR
    for first in firsts:
        assert first is not None
        assert await node.rpc.receipt(first) is None


async def test_it_pays_more_until_it_is_enough(doors: Database, node: Anvil, owner: asyncpg.Connection) -> None:
    keeper = sender(doors, node, AT_ONCE)
    await keeper.send("release order 1", SINK, b"")
    fees = []
    for _ in range(4):
        await keeper.tend()
        fees.append(await owner.fetchval("SELECT max_fee FROM core.chain_transactions"))
    assert all(later * 100 >= earlier * 112 for earlier, later in itertools.pairwise(fees))
    await node.mine(1)
    await sender(doors, node).tend()
    assert await states(owner) == [(0, "mined", 5)]


async def test_two_tenders_of_one_account_replace_it_once(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    keeper = sender(doors, node, AT_ONCE)
    await keeper.send("release order 1", SINK, b"")
    await asyncio.gather(sender(doors, node, AT_ONCE).tend(), keeper.tend())
    await node.mine(1)
    await asyncio.gather(sender(doors, node).tend(), keeper.tend())
    assert [(nonce, state) for nonce, state, _ in await states(owner)] == [(0, "mined")]
    assert await node.rpc.nonce(keeper.address, "latest") == 1


async def test_a_gap_before_what_waits_is_filled_whoever_left_it(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    keeper = sender(doors, node)
    sent = [await keeper.send(f"purpose {n}", SINK, b"") for n in range(4)]
    for lost in (sent[0], sent[2]):
        await node.rpc.call("anvil_dropTransaction", [lost])
    await node.mine(1)
    assert await node.rpc.nonce(keeper.address, "latest") == 0, "nothing passes the gap"
    await keeper.tend()
    await node.mine(1)
    await keeper.tend()
    assert await states(owner) == [(n, "mined", 1) for n in range(4)]


async def test_a_nonce_that_was_used_elsewhere_is_given_up_and_the_next_one_serves(
    doors: Database, node: Anvil, owner: asyncpg.Connection
) -> None:
    keeper = sender(doors, node)
    await node.rpc.call("anvil_dropTransaction", [await keeper.send("a", SINK, b"")])
    await node.rpc.call("eth_sendTransaction", [{"from": keeper.address, "to": SINK, "value": "0x1", "nonce": "0x0"}])
    await node.mine(1)
    await keeper.tend()
    assert await states(owner) == [(0, "dropped", 1)]
    assert await keeper.send("a", SINK, b"") is not None
    await node.mine(1)
    await keeper.tend()
    assert await states(owner) == [(0, "dropped", 1), (1, "mined", 1)]
