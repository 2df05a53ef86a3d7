"""A sender for the second of a node's accounts."""

from datetime import timedelta

from eth_account import Account

from entrepot.dev.anvil import Anvil
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.sender import Sender
from entrepot.kernel.db.database import Database

SINK = "0x000000000000000000000000000000000000dEaD"
AT_ONCE = timedelta(0)
NEVER = timedelta(days=1)


def sender(doors: Database, node: Anvil, stuck_after: timedelta = NEVER) -> Sender:
    """One that pays more for what waits longer than that."""
    key = Account.from_key(node.accounts[1].private_key)
    return Sender(doors, Chain("ethereum", 31_337, node.rpc, 1), key, stuck_after)
