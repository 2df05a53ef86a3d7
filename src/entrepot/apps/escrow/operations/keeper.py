"""The keeper ends what nobody ended: it sends the contract's timeouts, and changes nothing in the database itself."""

import logging

from entrepot.apps.escrow import events
from entrepot.apps.escrow.store import timeouts
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.endpoint import ChainFailure
from entrepot.kernel.chain.keys import find_key
from entrepot.kernel.chain.rpc import RpcError
from entrepot.kernel.chain.sender import Sender
from entrepot.kernel.db.database import Database
from entrepot.kernel.vault import Vault

LOG = logging.getLogger("entrepot.escrow")
KEEPER = "keeper"
AT_ONCE = 100


async def keep_time(database: Database, chains: Chains, vault: Vault) -> None:
    """Sends `autoExpireOrder` and `autoReleaseToSeller` for every order that is due, on every chain that answers."""
    async with database.read() as db:
        key = await find_key(db, vault, KEEPER)
        times = await timeouts.chain_times(db)
    if key is None:
        LOG.warning("there is no keeper key; `entrepot chain keeper` makes one")
        return
    for time in times:
        if time.chain not in chains.all:
            continue
        sender = Sender(database, chains.all[time.chain], key)
        try:
            await sender.tend()
            await _end_due_orders(database, sender, time)
        except ChainFailure as failure:
            LOG.warning("%s: the keeper waits: %s", time.chain, failure)


async def _end_due_orders(database: Database, sender: Sender, time: timeouts.ChainTime) -> None:
    async with database.read() as db:
        expiries = await timeouts.due_expiries(db, time.chain, time.last_block_at, AT_ONCE)
        releases = await timeouts.due_releases(db, time.chain, time.last_block_at, AT_ONCE)
    calls = [("autoExpireOrder", number) for number in expiries]
    calls += [("autoReleaseToSeller", number) for number in releases]
    for function, number in calls:
        try:
            await sender.send(f"{function} {number}", time.contract, events.contract().encode_call(function, number))
        except RpcError as refused:
            # Somebody else was first, and the event that tells us so is on its way.
            LOG.info("%s: %s(%d) is not due: %s", time.chain, function, number, refused)
