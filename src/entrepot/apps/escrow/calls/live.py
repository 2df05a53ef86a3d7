"""Live streams of trades: what is asked, and the frames that come, each with the `kind` that its struct names.

Beside these come the house's own: `ready`, `beat`, `start_over` and `refused` (kernel/http/frames.py).
"""

from datetime import datetime
from uuid import UUID

import msgspec

from entrepot.apps.escrow.calls.messages import Message
from entrepot.apps.escrow.model import OrderStatus
from entrepot.kernel.http.frames import Watch
from entrepot.kernel.values import Hash32
from entrepot.kernel.wallet import Wallet


class WatchOrder(Watch, frozen=True, kw_only=True):
    """One trade."""

    id: UUID


class TradeEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something happened to a trade of yours."""

    order_id: UUID
    cursor: str | msgspec.UnsetType = msgspec.UNSET
    """How far the stream is with this frame; it is put in when it is sent."""


class OrderMoved(TradeEvent, frozen=True, tag="order"):
    """The contract moved the order, or made it. `at` is the time of the block."""

    status: OrderStatus
    at: datetime
    tx_hash: Hash32


class OrderUndone(TradeEvent, frozen=True, tag="undone"):
    """A reorganisation of the chain took back the last of what was told; this is where the order stands now."""

    status: OrderStatus | None
    """Null: the chain does not have the order any more."""


class ArbitratorChanged(TradeEvent, frozen=True, tag="arbitrator"):
    """An arbitrator was drawn. Null: the one before missed its deadline, or nobody could be drawn yet."""

    arbitrator_wallet: Wallet | None
    at: datetime


class EvidenceRecorded(TradeEvent, frozen=True, tag="evidence"):
    """A party put evidence on record with the contract; `cid` is as that party told it."""

    submitter_wallet: Wallet
    cid: str
    at: datetime


class MessageSent(TradeEvent, frozen=True, tag="message"):
    """A message was sent, by the other side or by oneself elsewhere."""

    message: Message


class DeliveryKept(TradeEvent, frozen=True, tag="delivery"):
    """The seller handed in the sealed good. It can be opened once the contract has the seller's confirmation."""

    delivery_hash: Hash32


FRAMES = (OrderMoved, OrderUndone, ArbitratorChanged, EvidenceRecorded, MessageSent, DeliveryKept)
TradeFrame = OrderMoved | OrderUndone | ArbitratorChanged | EvidenceRecorded | MessageSent | DeliveryKept
