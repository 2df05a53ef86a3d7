"""What the worker runs for escrow."""

import asyncio
from collections.abc import Awaitable, Callable

from entrepot.apps.escrow import events
from entrepot.apps.escrow.operations.keeper import keep_time
from entrepot.apps.escrow.operations.mirror import EscrowMirror, UnknownToken
from entrepot.apps.escrow.operations.pool import PoolMirror
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.db.database import Database
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.task import Service, Task

WAIT_FOR_DEPLOYMENT = 2.0
Find = Callable[[Database, Chains, str], Awaitable[Indexer | None]]


async def follow(database: Database, chains: Chains, item: str) -> None:
    """Mirrors P2PEscrow of one chain, from the moment that it is there."""
    await _follow(escrow_indexer, database, chains, item)


async def follow_pool(database: Database, chains: Chains, item: str) -> None:
    """Mirrors ArbitratorPool of one chain, from the moment that it is there."""
    await _follow(pool_indexer, database, chains, item)


async def _follow(find: Find, database: Database, chains: Chains, chain: str) -> None:
    indexer = None
    while indexer is None:
        indexer = await find(database, chains, chain)
        if indexer is None:
            await asyncio.sleep(WAIT_FOR_DEPLOYMENT)
    await indexer.run()


async def escrow_indexer(database: Database, chains: Chains, chain: str) -> Indexer | None:
    """The indexer of P2PEscrow on a chain; None where it is not deployed."""
    async with database.read() as db:
        deployed = await registry.find(db, chain, "P2PEscrow")
        tokens = {token.address: token for token in await registry.everything(db) if token.chain == chain}
    if deployed is None:
        return None
    mirror = EscrowMirror(chain, deployed.address, tokens)
    rpc = chains.named(chain).rpc
    return Indexer(rpc, database, mirror, events.contract(), deployed.address, deployed.block)


async def pool_indexer(database: Database, chains: Chains, chain: str) -> Indexer | None:
    """The indexer of ArbitratorPool on a chain; None where it is not deployed. Raises `UnknownToken`."""
    async with database.read() as db:
        deployed = await registry.find(db, chain, "ArbitratorPool")
        tokens = {token.address: token for token in await registry.everything(db) if token.chain == chain}
    if deployed is None:
        return None
    rpc = chains.named(chain).rpc
    answer = await rpc.call_contract(deployed.address, events.pool().encode_call("stakeToken"))
    token = tokens.get(Wallet(events.pool().decode_result("stakeToken", answer)))
    if token is None:
        raise UnknownToken(f"what arbitrators stake on {chain}")
    mirror = PoolMirror(chain, deployed.address, token)
    return Indexer(rpc, database, mirror, events.pool(), deployed.address, deployed.block)


def chain_names(chains: Chains) -> tuple[str, ...]:
    """Every chain has its own."""
    return tuple(chains.all)


SERVICES = (
    Service(name="escrow.follow", run=follow, over=chain_names),
    Service(name="escrow.follow_pool", run=follow_pool, over=chain_names),
)
TASKS = (Task(name="escrow.keep_time", cron="* * * * * */15", run=keep_time),)
