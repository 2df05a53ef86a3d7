"""The local chain: a real anvil that starts, travels in time, reorganises, remembers, and never outlives us."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from eth_account import Account

from entrepot.dev import anvil as module
from entrepot.dev.anvil import AnvilFailed, AnvilMissing, anvil
from entrepot.kernel.chain.rpc import ChainUnreachable, Rpc

PARENT = """
import asyncio
from entrepot.dev.anvil import anvil
async def main():
    async with anvil() as chain:
        print(chain.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def runs(pid):
    """Whether the process exists and is more than the remains of one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid):
    for _ in range(100):
        if not runs(pid):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_it_starts_on_the_chain_that_was_asked_for_with_funded_accounts():
    async with anvil(chain_id=4_242, accounts=3) as chain:
        assert await chain.rpc.chain_id() == 4_242
        assert len(chain.accounts) == 3
        for account in chain.accounts:
            assert Account.from_key(account.private_key).address == account.address
            assert await chain.rpc.balance(account.address) == 10_000 * 10**18


async def test_it_listens_on_the_loopback_address_only(chain):
    assert chain.url.startswith("http://127.0.0.1:")


async def test_another_mnemonic_gives_other_accounts(chain):
    words = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    async with anvil(mnemonic=words, accounts=1) as other:
        assert other.url != chain.url
        assert other.accounts[0] not in chain.accounts


async def test_time_travel_shows_in_the_newest_block(chain):
    before = await chain.rpc.block()
    after = await chain.increase_time(72 * 3_600)
    assert after.number == before.number + 1
    assert 72 * 3_600 <= after.timestamp - before.timestamp < 72 * 3_600 + 10


async def test_a_reorganisation_replaces_blocks_and_drops_their_transactions(chain, emitter):
    kept = await emitter.emit(1)
    fork = await chain.rpc.block()
    dropped = await emitter.emit(2)
    before = await chain.mine(2)
    after = await chain.reorg(3)
    assert after.number == before.number
    assert after.hash != before.hash
    assert await chain.rpc.block(fork.number) == fork
    assert await chain.rpc.receipt(kept)
    assert await chain.rpc.receipt(dropped) is None


async def test_blocks_come_by_themselves_when_a_block_time_is_given():
    async with anvil(block_time=1) as chain:
        for _ in range(40):
            if await chain.rpc.head():
                return
            await asyncio.sleep(0.1)
    pytest.fail("no block in four seconds")


async def test_a_state_file_carries_the_chain_over_a_restart(tmp_path):
    state = tmp_path / "chain.json"
    async with anvil(state=state) as chain:
        await chain.rpc.call("anvil_setBalance", ["0x" + "7" * 40, "0x2a"])
        before = await chain.mine(5)
    async with anvil(state=state) as chain:
        assert await chain.rpc.balance("0x" + "7" * 40) == 42
        assert await chain.rpc.head() == before.number


async def test_it_ends_with_its_block_even_when_that_fails():
    with pytest.raises(LookupError):
        async with anvil() as chain:
            raise LookupError
    assert not runs(chain.pid)
    async with Rpc([chain.url], attempts=1) as rpc:
        with pytest.raises(ChainUnreachable):
            await rpc.chain_id()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
async def test_it_dies_with_a_parent_that_is_killed():
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    pid = int(await parent.stdout.readline())
    assert runs(pid)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    assert await gone(pid)


async def test_a_start_that_fails_repeats_what_anvil_said():
    with pytest.raises(AnvilFailed, match="the word `not` is invalid"):
        async with anvil(mnemonic="not twelve words"):
            pass


async def test_without_anvil_the_way_to_get_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AnvilMissing, match="npm ci"):
        async with anvil():
            pass
