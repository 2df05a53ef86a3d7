"""What the parties of an order do: see it, deliver, confirm, cancel. Only the contract's events move it."""

import hashlib
from typing import Annotated

from entrepot.apps.escrow import transactions
from entrepot.apps.escrow.calls.orders import (
    Deliver,
    Delivery,
    GetOrder,
    ListOrders,
    Order,
    OrderPage,
    PreparedAct,
    UnsignedTransaction,
)
from entrepot.apps.escrow.model import ORDER, OrderEvent
from entrepot.apps.escrow.operations.members import trader
from entrepot.apps.escrow.refusals import BuyerHasNoKey, KeyRotated, NoSuchOrder
from entrepot.apps.escrow.store import orders as store
from entrepot.apps.escrow.store.orders import Deal
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.values import Hash32


async def list_orders(db: Read, ask: ListOrders) -> Annotated[Json, OrderPage]:
    """List your trades, newest first."""
    return await store.orders(db, ask)


async def get_order(db: Read, ask: GetOrder) -> Annotated[Json, Order]:
    """Show a trade of yours, or one that you were drawn to rule on."""
    found = await store.order(db, ask.id, ask.by)
    if found is None:
        raise NoSuchOrder
    return found


async def deliver(db: Write, ask: Deliver, chains: Chains) -> Delivery:
    """Keep the sealed key of the good for its buyer, and make the transaction that confirms it.

    Only to the buyer's current public key. It may be done again until the contract has the confirmation.
    """
    deal = await store.lock_deal(db, ask.id, ask.by)
    if deal is None or deal.seller_wallet != ask.by:
        raise NoSuchOrder
    await trader(db, ask.by)
    ORDER.after(deal.status, OrderEvent.CONFIRM_DELIVERY)
    if not deal.buyer_public_key:
        raise BuyerHasNoKey
    if deal.buyer_public_key != ask.buyer_public_key:
        raise KeyRotated(deal.buyer_public_key)
    await store.keep_delivery(db, deal.id, ask.product_key_encrypted)
    digest = hashlib.sha256(ask.product_key_encrypted.raw).digest()
    transaction = await _act(db, chains, deal, "sellerConfirmDelivery", digest)
    return Delivery(Hash32("0x" + digest.hex()), transaction)


async def confirm_receipt(db: Read, ask: GetOrder, chains: Chains) -> PreparedAct:
    """Make the transaction by which the buyer confirms receipt, which pays the seller."""
    deal = await store.deal(db, ask.id, ask.by)
    if deal is None or deal.buyer_wallet != ask.by:
        raise NoSuchOrder
    ORDER.after(deal.status, OrderEvent.COMPLETE)
    return PreparedAct(await _act(db, chains, deal, "buyerConfirmReceived"))


async def cancel_order(db: Read, ask: GetOrder, chains: Chains) -> PreparedAct:
    """Make the transaction by which either party cancels, which refunds the buyer."""
    deal = await store.deal(db, ask.id, ask.by)
    if deal is None:
        raise NoSuchOrder
    ORDER.after(deal.status, OrderEvent.CANCEL)
    return PreparedAct(await _act(db, chains, deal, "cancelOrder"))


async def _act(db: Read, chains: Chains, deal: Deal, function: str, *more: object) -> UnsignedTransaction:
    """The call of the contract that holds this order."""
    chain = chains.all.get(deal.chain)
    escrow = await registry.find(db, deal.chain, "P2PEscrow")
    if chain is None or escrow is None:
        raise Unavailable(part=f"chain {deal.chain}")
    return transactions.act(chain.id, escrow.address, function, deal.onchain_order_id, *more)
