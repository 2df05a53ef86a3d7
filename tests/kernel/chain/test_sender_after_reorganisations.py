"""The sender when blocks are taken back or a node lags behind: nothing stops it, and nothing is sent twice."""

import asyncio

import asyncpg

from entrepot.dev.anvil import Anvil
from entrepot.kernel.chain.sender import Sender
from entrepot.kernel.db.database import Database
from tests.kernel.chain.sending import AT_ONCE, SINK, sender

OTHER = "0x000000000000000000000000000000000000bEEF"


async def sends(chain: Anvil, keeper: Sender, purpose: str) -> None:
    """Sends and sees it mined, and notes so."""
    tx_hash = await keeper.send(purpose, SINK, b"")
    assert tx_hash is not None
    while await chain.rpc.receipt(tx_hash) is None:
        await asyncio.sleep(0.01)
    await keeper.tend()


async def states(owner: asyncpg.Connection) -> list[tuple[int, str]]:
    rows = await owner.fetch("SELECT nonce, state FROM core.chain_transactions ORDER BY nonce")
    return [(row[0], row[1]) for row in rows]


async def test_two_of_one_purpose_that_are_taken_back_together_are_both_sent_again(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    keeper = sender(doors, chain)
    for _ in range(2):
        await sends(chain, keeper, "drawArbitrator 7")
    await chain.rpc.call("evm_setAutomine", [False])
    await chain.reorg(2)
    await keeper.tend()
    assert await states(owner) == [(0, "open"), (1, "open")]
    assert await keeper.send("drawArbitrator 7", SINK, b"") is None, "it is on its way already"
    await chain.mine(1)
    await keeper.tend()
    assert await states(owner) == [(0, "mined"), (1, "mined")]


async def test_what_is_taken_back_any_number_of_times_is_sent_again_each_time(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    keeper = sender(doors, chain)
    await sends(chain, keeper, "autoReleaseToSeller 1234567")
    for _ in range(25):  # so does a node that now and then lags behind
        await owner.execute("UPDATE core.chain_transactions SET nonce = 1, state = 'mined'")
        await keeper.tend()
    assert await owner.fetchval("SELECT count(*) FROM core.chain_transactions WHERE state = 'mined'") == 1


async def test_a_nonce_whose_other_user_was_taken_back_leaves_no_gap(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    await chain.rpc.call("evm_setAutomine", [False])
    keeper = sender(doors, chain)
    await chain.rpc.call("anvil_dropTransaction", [await keeper.send("a", SINK, b"")])
    await chain.rpc.call("eth_sendTransaction", [{"from": keeper.address, "to": OTHER, "value": "0x1", "nonce": "0x0"}])
    await chain.mine(1)
    await keeper.tend()
    assert await states(owner) == [(0, "dropped")]
    await chain.reorg(1)
    await keeper.tend()
    assert await keeper.send("b", SINK, b"") is not None
    await chain.mine(1)
    await keeper.tend()
    assert await states(owner) == [(0, "mined"), (1, "mined")]


async def test_while_no_block_is_made_the_fee_stays_within_a_multiple_of_what_the_chain_takes(
    doors: Database, chain: Anvil, owner: asyncpg.Connection
) -> None:
    await chain.rpc.call("evm_setAutomine", [False])
    keeper = sender(doors, chain, AT_ONCE)
    await keeper.send("release order 1", SINK, b"")
    for _ in range(30):
        await keeper.tend()
    most = (await chain.rpc.fees()).most
    offered, attempts = await owner.fetchrow("SELECT max_fee, cardinality(hashes) FROM core.chain_transactions")
    assert offered <= 10 * most, f"{offered / most:.0f} times, after {attempts} attempts"
    await chain.mine(1)
    await sender(doors, chain).tend()
    assert await states(owner) == [(0, "mined")]
