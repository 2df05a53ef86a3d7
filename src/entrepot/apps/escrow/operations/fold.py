"""The fold: what an order is after its events, as a pure function. The contract is the source, this is its mirror."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from entrepot.apps.escrow.events import (
    ArbitratorDrawn,
    DisputeOpened,
    DisputeResolved,
    DrawPostponed,
    EvidenceSubmitted,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderExpired,
    SellerConfirmed,
)
from entrepot.apps.escrow.model import ORDER, OrderEvent, OrderStatus
from entrepot.kernel.chain.abi import Event
from entrepot.kernel.clock import from_unix
from entrepot.kernel.wallet import ZERO


class Mirrored(msgspec.Struct, frozen=True, kw_only=True):
    """What the events alone say of an order. Times are the chain's own."""

    onchain_order_id: int
    status: OrderStatus
    seller_deadline: datetime
    tx_hash_create: str
    created_at: datetime
    updated_at: datetime
    block_number: int
    release_deadline: datetime | None = None
    delivery_hash: str | None = None
    seller_confirmed_at: datetime | None = None
    cancelled_by: str | None = None
    arbitrator_wallet: str | None = None
    dispute_opened_at: datetime | None = None
    dispute_deadline: datetime | None = None
    default_deadline: datetime | None = None
    draw_block: int | None = None
    completed_at: datetime | None = None
    tx_hash_complete: str | None = None


class Placed(msgspec.Struct, frozen=True):
    """An event of one order and where it stands."""

    event: Event
    at: datetime
    block_number: int
    tx_hash: str


class NoSuchOrder(Exception):
    """An event moves an order whose creation was never seen: the mirror did not begin at the contract's first block."""


def created(placed: Placed) -> Mirrored:
    """An order as its first event makes it."""
    event = placed.event
    if not isinstance(event, OrderCreated):
        raise NoSuchOrder(f"order {getattr(event, 'order_id', '?')} has {type(event).__name__} before its creation")
    return Mirrored(
        onchain_order_id=event.order_id,
        status=OrderStatus.CREATED,
        seller_deadline=from_unix(event.seller_deadline),
        tx_hash_create=placed.tx_hash,
        created_at=placed.at,
        updated_at=placed.at,
        block_number=placed.block_number,
    )


def fold(order: Mirrored | None, placed: Placed) -> Mirrored:
    """The order after one more event; raises `WrongState` where the state machine has no such move."""
    if order is None:
        return created(placed)
    move, told = TOLD[type(placed.event)](placed.event, placed)
    status = order.status if move is None else ORDER.after(order.status, move)
    return msgspec.structs.replace(order, status=status, updated_at=placed.at, block_number=placed.block_number, **told)


Told = tuple[OrderEvent | None, dict[str, Any]]


def _seller_confirmed(event: SellerConfirmed, placed: Placed) -> Told:
    return OrderEvent.CONFIRM_DELIVERY, {
        "seller_confirmed_at": placed.at,
        "release_deadline": from_unix(event.release_deadline),
        "delivery_hash": "0x" + event.delivery_hash.hex(),
    }


def _completed(_event: OrderCompleted, placed: Placed) -> Told:
    return OrderEvent.COMPLETE, {"completed_at": placed.at, "tx_hash_complete": placed.tx_hash}


def _cancelled(event: OrderCancelled, placed: Placed) -> Told:
    return OrderEvent.CANCEL, {"cancelled_by": event.by, "tx_hash_complete": placed.tx_hash}


def _expired(_event: OrderExpired, placed: Placed) -> Told:
    return OrderEvent.EXPIRE, {"tx_hash_complete": placed.tx_hash}


def _disputed(event: DisputeOpened, placed: Placed) -> Told:
    deadline = from_unix(event.deadline)
    return OrderEvent.DISPUTE, {
        "dispute_opened_at": placed.at,
        "dispute_deadline": deadline,
        "default_deadline": deadline,
        "draw_block": event.draw_block,
    }


def _drawn(event: ArbitratorDrawn, _placed: Placed) -> Told:
    return None, {
        "arbitrator_wallet": event.arbitrator,
        "dispute_deadline": from_unix(event.deadline),
        "default_deadline": from_unix(event.default_deadline),
    }


def _resolved(event: DisputeResolved, placed: Placed) -> Told:
    told: dict[str, Any] = {"completed_at": placed.at, "tx_hash_complete": placed.tx_hash}
    if event.arbitrator != ZERO:
        told["arbitrator_wallet"] = event.arbitrator
    return OrderEvent.RULE_FOR_BUYER if event.favor_buyer else OrderEvent.RULE_FOR_SELLER, told


def _postponed(event: DrawPostponed, _placed: Placed) -> Told:
    """The next draw is some blocks away; an arbitrator that missed its deadline is one no longer."""
    told: dict[str, Any] = {"draw_block": event.draw_block}
    return None, told if event.missed == ZERO else {**told, "arbitrator_wallet": None}


def _nothing(_event: Event, _placed: Placed) -> Told:
    return None, {}


def _created_twice(event: OrderCreated, _placed: Placed) -> Told:
    raise NoSuchOrder(f"order {event.order_id} was created twice")


TOLD: dict[type[Event], Callable[[Any, Placed], Told]] = {
    OrderCreated: _created_twice,
    SellerConfirmed: _seller_confirmed,
    OrderCompleted: _completed,
    OrderCancelled: _cancelled,
    OrderExpired: _expired,
    DisputeOpened: _disputed,
    DrawPostponed: _postponed,
    ArbitratorDrawn: _drawn,
    EvidenceSubmitted: _nothing,
    DisputeResolved: _resolved,
}
