"""A real EVM node on this machine: anvil, started, asked until it answers, and ended with whoever started it."""

import asyncio
import os
import platform
import re
import shutil
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import msgspec

from entrepot.dev.process import die_with_parent, end
from entrepot.kernel.chain.rpc import Block, Rpc

PROJECT = Path(__file__).parents[3]
LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")
ACCOUNT = re.compile(r"\(\d+\) (0x[0-9a-fA-F]{40})\b")
KEY = re.compile(r"\(\d+\) (0x[0-9a-fA-F]{64})\b")
PATIENCE = 20.0  # seconds for anvil to answer


class AnvilMissing(RuntimeError):
    """There is no anvil on this machine; `npm ci` in the project's folder brings it."""


class AnvilFailed(RuntimeError):
    """Anvil did not start; the message holds its last words."""


class Account(msgspec.Struct, frozen=True):
    """A funded account of a development chain; its key is public knowledge. Both are 0x and hexadecimal."""

    address: str
    private_key: str


class Anvil:
    """A running node. `rpc` is a client of it that never repeats a call, because time travel is not idempotent."""

    def __init__(self, url: str, pid: int, accounts: tuple[Account, ...], rpc: Rpc) -> None:
        self.url, self.pid, self.accounts, self.rpc = url, pid, accounts, rpc

    async def increase_time(self, seconds: int) -> Block:
        """Moves the chain's clock and makes a block of the new time, which is returned."""
        await self.rpc.call("evm_increaseTime", [seconds])
        return await self.mine(1)

    async def mine(self, blocks: int = 1) -> Block:
        """Makes blocks now, with what waits; returns the last."""
        await self.rpc.call("anvil_mine", [hex(blocks)])
        return await self.rpc.block()

    async def reorg(self, depth: int) -> Block:
        """Replaces the last `depth` blocks (1 to the height) by empty ones and drops their transactions."""
        await self.rpc.call("anvil_reorg", [depth, []])
        return await self.rpc.block()


@asynccontextmanager
async def anvil(
    *,
    port: int = 0,
    chain_id: int = 31_337,
    block_time: int | None = None,
    accounts: int = 10,
    mnemonic: str | None = None,
    state: Path | None = None,
) -> AsyncIterator[Anvil]:
    """A node on the loopback address, ended at the end of the block or at the death of this process.

    Port 0 takes a free one. `block_time` is seconds between blocks; None makes a block per transaction. `state` is a
    file that the chain is loaded from, if it is there, and saved to. The process must be started from a thread that
    lives as long as it (Linux watches the thread). Raises AnvilMissing and AnvilFailed.
    """
    command = [str(executable()), "--host", "127.0.0.1", "--port", str(port), "--color", "never"]
    command += ["--chain-id", str(chain_id), "--accounts", str(accounts)]
    for option, value in (("--block-time", block_time), ("--mnemonic", mnemonic), ("--state", state)):
        command += [] if value is None else [option, str(value)]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for us; the node ends when we have let go of it
        preexec_fn=die_with_parent(os.getpid()),
    )
    drain = None
    try:
        output = cast("asyncio.StreamReader", process.stdout)
        taken, found = await _started(output)
        drain = asyncio.create_task(_drain(output))  # a full pipe would stop it
        async with Rpc([f"http://127.0.0.1:{taken}"], attempts=1, timeout=60) as rpc:
            await rpc.chain_id()
            yield Anvil(f"http://127.0.0.1:{taken}", process.pid, found, rpc)
    finally:
        await end(process)
        if drain is not None:
            await drain


def executable() -> Path:
    """The native binary, not its Node wrapper, so that the process we start is the node. Raises AnvilMissing."""
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower()
    )
    package = f"anvil-{sys.platform}-{machine}"
    native = PROJECT / "node_modules" / "@foundry-rs" / package / "bin" / "anvil"
    if native.is_file():
        return native
    found = shutil.which("anvil")
    if found is None:
        raise AnvilMissing(f"no anvil in {native.parent} nor on the PATH; run `npm ci` in {PROJECT}")
    real = Path(found).resolve()
    beside = real.parents[1] / package / "bin" / "anvil"  # an npm installation elsewhere
    return beside if real.suffix == ".mjs" and beside.is_file() else real


async def _started(output: asyncio.StreamReader) -> tuple[int, tuple[Account, ...]]:
    """Reads what anvil prints until it listens: its port and its accounts."""
    lines: deque[str] = deque(maxlen=200)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            async for line in output:
                lines.append(line.decode(errors="replace").rstrip())
                if listening := LISTENING.search(lines[-1]):
                    told = "\n".join(lines)
                    pairs = zip(ACCOUNT.findall(told), KEY.findall(told), strict=True)
                    return int(listening[1]), tuple(Account(address, key) for address, key in pairs)
    raise AnvilFailed("anvil did not start: " + " / ".join([line for line in lines if line][-5:]))


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.read(65_536):
        pass
