"""The transaction of an act on an order: made here, signed and sent by the caller's wallet."""

from entrepot.apps.escrow import transactions
from entrepot.apps.escrow.calls.orders import UnsignedTransaction
from entrepot.apps.escrow.store.disputes import Case
from entrepot.apps.escrow.store.orders import Deal
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.doors import Fresh
from entrepot.kernel.refusal import Unavailable


async def prepare(db: Fresh, chains: Chains, order: Deal | Case, function: str, *more: object) -> UnsignedTransaction:
    """The call of the contract that holds this order."""
    chain = chains.all.get(order.chain)
    escrow = await registry.find(db, order.chain, "P2PEscrow")
    if chain is None or escrow is None:
        raise Unavailable(part=f"chain {order.chain}")
    return transactions.act(chain.id, escrow.address, function, order.onchain_order_id, *more)
