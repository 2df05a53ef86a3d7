"""What parties are told while they listen: each event goes to the wallets that may see the order at that moment."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from entrepot.apps.escrow.calls.live import (
    ArbitratorChanged,
    DeliveryKept,
    EvidenceRecorded,
    MessageSent,
    OrderMoved,
    OrderUndone,
    TradeEvent,
    WatchOrder,
)
from entrepot.apps.escrow.calls.messages import Message
from entrepot.apps.escrow.events import ArbitratorDrawn, DrawPostponed, EvidenceSubmitted
from entrepot.apps.escrow.model import OrderStatus
from entrepot.apps.escrow.operations.fold import Mirrored, Placed
from entrepot.apps.escrow.refusals import NoSuchOrder
from entrepot.apps.escrow.store import live as store
from entrepot.apps.escrow.store.mirror import KeptOrder
from entrepot.kernel.db.doors import Fresh, Write
from entrepot.kernel.http.frames import Subscription, Watch
from entrepot.kernel.values import Hash32
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import Letter, publish

SEEN_BY_ARBITRATOR = (OrderStatus.DISPUTED, OrderStatus.RESOLVED_BUYER, OrderStatus.RESOLVED_SELLER)


@dataclass(frozen=True)
class Step:
    """One event of the contract, the row of its order as it was, and the order right after the event."""

    row: KeptOrder
    after: Mirrored
    placed: Placed


async def watch_orders(_db: Fresh, ask: Watch) -> Subscription:
    """Follow all your trades, and those that begin."""
    return Subscription((topic(ask.by),))


async def watch_order(db: Fresh, ask: WatchOrder) -> Subscription:
    """Follow a trade of yours, or one that you were drawn to rule on."""
    if not await store.is_visible(db, ask.id, ask.by):
        raise NoSuchOrder
    return Subscription((topic(ask.by),), about=str(ask.id))


def topic(wallet: str) -> str:
    """What a wallet listens to. Events are addressed to wallets, so that nobody is told what was not theirs to see."""
    return f"escrow:{wallet}"


def letters(readers: Collection[str], event: TradeEvent) -> list[Letter]:
    """One for each reader."""
    return [Letter(topic(wallet), event, about=str(event.order_id)) for wallet in readers]


async def tell_message(db: Write, order: UUID, message: Message) -> None:
    """A message was sent."""
    await publish(db, letters(await store.readers(db, order), MessageSent(order_id=order, message=message)))


async def tell_delivery(db: Write, order: UUID, digest: Hash32) -> None:
    """The seller handed in the sealed good."""
    await publish(db, letters(await store.readers(db, order), DeliveryKept(order_id=order, delivery_hash=digest)))


async def tell_steps(db: Write, steps: Sequence[Step]) -> None:
    """The contract's events, in their order."""
    await publish(db, [letter for step in steps for letter in letters(readers(step.row, step.after), told(step))])


async def tell_undone(db: Write, orders: Sequence[tuple[KeptOrder, Mirrored | None]]) -> None:
    """What a reorganisation left of these orders; None: nothing."""
    found = [
        letter
        for row, order in orders
        for letter in letters(
            readers(row, order), OrderUndone(order_id=row.id, status=None if order is None else order.status)
        )
    ]
    await publish(db, found)


def readers(row: KeptOrder, after: Mirrored | None) -> list[str]:
    """Both parties, and the arbitrator while it is one."""
    found = [row.buyer_wallet, row.seller_wallet]
    if after is not None and after.status in SEEN_BY_ARBITRATOR and after.arbitrator_wallet is not None:
        found.append(after.arbitrator_wallet)
    return found


def told(step: Step) -> TradeEvent:
    """One event as its readers are told of it."""
    event, order, at = step.placed.event, step.row.id, step.placed.at
    if isinstance(event, EvidenceSubmitted):
        return EvidenceRecorded(order_id=order, submitter_wallet=Wallet(event.by), cid=event.cid, at=at)
    if isinstance(event, ArbitratorDrawn | DrawPostponed):
        drawn = step.after.arbitrator_wallet
        return ArbitratorChanged(order_id=order, arbitrator_wallet=None if drawn is None else Wallet(drawn), at=at)
    return OrderMoved(order_id=order, status=step.after.status, at=at, tx_hash=Hash32(step.placed.tx_hash))
