"""The keeper does what time calls for and anyone may do: it sends the contract's calls, and changes no order itself."""

import asyncio
import logging

from entrepot.apps.escrow import events
from entrepot.apps.escrow.store import timeouts
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.endpoint import ChainFailure
from entrepot.kernel.chain.keys import find_key
from entrepot.kernel.chain.rpc import RpcError
from entrepot.kernel.chain.sender import Sender
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read
from entrepot.kernel.vault import Vault

LOG = logging.getLogger("entrepot.escrow")
KEEPER = "keeper"
AT_ONCE = 100
PATIENCE = 12.0  # seconds for one chain; the next round begins after fifteen


async def keep_time(database: Database, chains: Chains, vault: Vault) -> None:
    """Ends every order that is overdue and has arbitrators drawn, on every chain that answers."""
    async with database.read() as db:
        key = await find_key(db, vault, KEEPER)
        escrows = [one.address for one in await registry.everything(db) if one.name == "P2PEscrow"]
        times = await timeouts.chain_times(db, escrows)
    if key is None:
        LOG.warning("there is no keeper key; `entrepot chain keeper` makes one")
        return
    known = [time for time in times if time.chain in chains.all]
    await asyncio.gather(
        *(_keep_chain(database, Sender(database, chains.all[time.chain], key), time) for time in known)
    )


async def _keep_chain(database: Database, sender: Sender, time: timeouts.ChainTime) -> None:
    """One chain's round, which ends in time for the next one: a node that hangs holds up nobody but itself."""
    try:
        async with asyncio.timeout(PATIENCE):
            await sender.tend()
            await _send_due_calls(database, sender, time)
    except ChainFailure as failure:
        LOG.warning("%s: the keeper waits: %s", time.chain, failure)
    except TimeoutError:
        LOG.warning("%s: the keeper got no further in %.0f s", time.chain, PATIENCE)


async def _due_calls(db: Read, time: timeouts.ChainTime) -> list[tuple[str, int]]:
    """The calls that are due, each with the order's number. What replaces an arbitrator is a draw, too: the next one
    only becomes due some blocks later.
    """
    due = (
        ("autoExpireOrder", await timeouts.due_expiries(db, time.chain, time.last_block_at, AT_ONCE)),
        ("autoReleaseToSeller", await timeouts.due_releases(db, time.chain, time.last_block_at, AT_ONCE)),
        ("drawArbitrator", await timeouts.due_replacements(db, time, AT_ONCE)),
        ("drawArbitrator", await timeouts.due_draws(db, time, AT_ONCE)),
        ("autoResolveDispute", await timeouts.due_defaults(db, time, AT_ONCE)),
    )
    return [(function, number) for function, numbers in due for number in numbers]


async def _send_due_calls(database: Database, sender: Sender, time: timeouts.ChainTime) -> None:
    async with database.read() as db:
        calls = await _due_calls(db, time)
    for function, number in calls:
        try:
            await sender.send(f"{function} {number}", time.contract, events.contract().encode_call(function, number))
        except RpcError as refused:
            # Somebody else was first, and the event that tells us so is on its way.
            LOG.info("%s: %s(%d) is not due: %s", time.chain, function, number, refused)
