"""What the parties of an order do: see it, deliver, confirm, cancel. Only the contract's events move it."""

import hashlib
from typing import Annotated

from entrepot.apps.escrow.calls.orders import (
    Deliver,
    Delivery,
    GetOrder,
    ListOrders,
    Order,
    OrderPage,
    PreparedAct,
)
from entrepot.apps.escrow.model import ORDER, OrderEvent
from entrepot.apps.escrow.operations import live
from entrepot.apps.escrow.operations.members import trader
from entrepot.apps.escrow.operations.preparing import prepare
from entrepot.apps.escrow.refusals import BuyerHasNoKey, KeyRotated, NoSuchOrder, TooLate
from entrepot.apps.escrow.store import orders as store
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.doors import Fresh, Json, Write
from entrepot.kernel.values import Hash32


async def list_orders(db: Fresh, ask: ListOrders) -> Annotated[Json, OrderPage]:
    """List your trades, newest first."""
    return await store.orders(db, ask)


async def get_order(db: Fresh, ask: GetOrder) -> Annotated[Json, Order]:
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
    if deal.now >= deal.seller_deadline:
        raise TooLate(deal.seller_deadline)
    if not deal.buyer_public_key:
        raise BuyerHasNoKey
    if deal.buyer_public_key != ask.buyer_public_key:
        raise KeyRotated(deal.buyer_public_key)
    await store.keep_delivery(db, deal.id, ask.product_key_encrypted)
    digest = hashlib.sha256(ask.product_key_encrypted.raw).digest()
    transaction = await prepare(db, chains, deal, "sellerConfirmDelivery", digest)
    delivery = Delivery(Hash32("0x" + digest.hex()), transaction)
    await live.tell_delivery(db, deal.id, delivery.delivery_hash)
    return delivery


async def confirm_receipt(db: Fresh, ask: GetOrder, chains: Chains) -> PreparedAct:
    """Make the transaction by which the buyer confirms receipt, which pays the seller."""
    deal = await store.deal(db, ask.id, ask.by)
    if deal is None or deal.buyer_wallet != ask.by:
        raise NoSuchOrder
    ORDER.after(deal.status, OrderEvent.COMPLETE)
    return PreparedAct(await prepare(db, chains, deal, "buyerConfirmReceived"))


async def cancel_order(db: Fresh, ask: GetOrder, chains: Chains) -> PreparedAct:
    """Make the transaction by which either party cancels, which refunds the buyer."""
    deal = await store.deal(db, ask.id, ask.by)
    if deal is None:
        raise NoSuchOrder
    ORDER.after(deal.status, OrderEvent.CANCEL)
    return PreparedAct(await prepare(db, chains, deal, "cancelOrder"))
