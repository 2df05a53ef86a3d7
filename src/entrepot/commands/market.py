"""A whole market on this machine: database, local chain, contracts, worker and server, for as long as a block lasts."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic

import msgspec

from entrepot import console
from entrepot.commands import here
from entrepot.commands.chain import keep_keeper
from entrepot.commands.migrate import bring_up
from entrepot.console import Failed
from entrepot.dev import postgres
from entrepot.dev.anvil import Account, Anvil, AnvilFailed, AnvilMissing, anvil
from entrepot.dev.process import Child, entrepot, outlived
from entrepot.kernel.chain import deploy
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.deploy import Plan
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings, Settings

LOCAL = "ethereum"  # what the local chain is called in the market
LOCAL_ID = 31_337
GAS = 10**20  # wei that the keeper is given on the local chain
USUAL_PORT = 8545
SERVER_PATIENCE = 30.0  # seconds for the server to answer


@dataclass(frozen=True)
class Market:
    """What stands. `accounts` are the funded accounts of the local chain; the first deployed, the second is paid."""

    settings: Settings
    url: str
    accounts: tuple[Account, ...]
    children: tuple[Child, ...]
    node: int | None = None
    """The process of the local chain."""

    async def until_one_ends(self) -> None:
        """Waits; raises `Ended` when the server, the worker or the local chain does."""
        waiting = [asyncio.ensure_future(child.outlived()) for child in self.children]
        if self.node is not None:
            waiting.append(asyncio.ensure_future(outlived("local chain", self.node)))
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in waiting:
                each.cancel()


@asynccontextmanager
async def open_market(settings: Settings, *, local_chain: bool) -> AsyncIterator[Market]:
    """Everything, started in its order and ended in the other. Raises `Failed`."""
    require_free(settings)
    settings.home.mkdir(parents=True, exist_ok=True)
    if other := here.running(settings.home):
        raise Failed(f"a market runs with this home already, as process {other.pid}", "stop it, or set ENTREPOT_HOME")
    async with AsyncExitStack() as stack:
        settings = stack.enter_context(_database(settings))
        accounts: tuple[Account, ...] = ()
        chain_process = None
        await bring_up(settings)
        if local_chain and not settings.chains:
            node = await stack.enter_async_context(_chain(settings))
            accounts, chain_process = node.accounts, node.pid
            one = ChainSettings(name=LOCAL, chain_id=LOCAL_ID, endpoints=(node.url,), confirmations=1)
            settings = msgspec.structs.replace(settings, chains=(one,))
            await _contracts(settings, accounts)
            keeper, _ = await keep_keeper(settings)
            await node.rpc.call("anvil_setBalance", [keeper, hex(GAS)])
        url = f"http://{_reachable(settings.host)}:{settings.port}"
        stack.enter_context(here.noted(settings.home, here.Running(os.getpid(), url, settings.chains)))
        children = await _children(stack, settings, url)
        yield Market(settings, url, accounts, children, chain_process)


def require_free(settings: Settings) -> None:
    """Raises `Failed` where another program has the server's port."""
    if not here.is_free(settings.host, settings.port):
        raise Failed(f"port {settings.port} on {settings.host} is taken", "set ENTREPOT_PORT to another")


@contextmanager
def _database(settings: Settings) -> Iterator[Settings]:
    """The database that the settings name, or the embedded one."""
    if settings.database_url:
        yield settings
        return
    doing = "Starting PostgreSQL" if postgres.is_made(settings) else "Making a PostgreSQL database"
    with ExitStack() as stack:
        try:
            with console.step(doing, "PostgreSQL, embedded"):
                found = stack.enter_context(postgres.embedded(settings))
        except postgres.PostgresFailed as failed:
            raise Failed(str(failed), f"see {settings.home / 'postgres' / 'log'}") from None
        yield found


@asynccontextmanager
async def _chain(settings: Settings) -> AsyncIterator[Anvil]:
    """The local chain, with the state that it had."""
    folder = settings.home / "chain"
    folder.mkdir(exist_ok=True)
    port = USUAL_PORT if here.is_free("127.0.0.1", USUAL_PORT) else 0
    async with AsyncExitStack() as stack:
        try:
            with console.step("Starting the local chain", "local chain") as step:
                started = anvil(port=port, chain_id=LOCAL_ID, state=folder / "state.json")
                node = await stack.enter_async_context(started)
                step.done = f"local chain on {node.url}, block {await node.rpc.head()}"
        except (AnvilMissing, AnvilFailed) as missing:
            raise Failed(str(missing), "npm ci, or entrepot up --no-local-chain") from None
        yield node


async def _contracts(settings: Settings, accounts: tuple[Account, ...]) -> None:
    """Deploys to the local chain what is not there yet."""
    async with Chains(settings.chains) as chains, Database(settings.database_url, settings) as database:
        chain = chains.named(LOCAL)
        if known := await deploy.standing(chain, database):
            console.mark("good", f"P2PEscrow stands at {known.address}")
            return
        account = SigningAccount.from_key(accounts[0].private_key, chain.rpc, chain.id)
        plan = Plan(treasury=accounts[1].address, tokens={}, test_tokens=True)
        with console.step("Deploying contracts", "contracts deployed") as step:
            async for one in deploy.deploy(chain, account, database, plan):
                if one.contract is not None and one.contract.name == deploy.ESCROW:
                    step.done = f"P2PEscrow, ArbitratorPool, test tokens deployed; the escrow at {one.contract.address}"


async def _children(stack: AsyncExitStack, settings: Settings, url: str) -> tuple[Child, ...]:
    """The worker and the server, once the server answers."""
    logs, given = settings.home / "logs", here.environment(settings)
    with console.step("Starting worker and server", f"worker and server on {url}"):
        children = (
            await stack.enter_async_context(entrepot("worker", ["worker"], logs / "worker.log", given)),
            await stack.enter_async_context(entrepot("server", ["serve"], logs / "server.log", given)),
        )
        ends = monotonic() + SERVER_PATIENCE
        while not await here.answers(url):
            for child in children:
                child.still_there()
            if monotonic() > ends:
                words = children[1].last_words
                raise Failed(f"the server does not answer on {url} after {SERVER_PATIENCE:.0f} s:\n{words}")
            await asyncio.sleep(0.05)
    return children


def _reachable(host: str) -> str:
    """How this machine reaches a server that listens there."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104
        return "localhost"
    return f"[{host}]" if ":" in host else host
