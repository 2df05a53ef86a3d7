"""Disputes: what their calls take and answer."""

from datetime import datetime
from uuid import UUID

import msgspec

from entrepot.apps.escrow.model import EvidenceType, OrderStatus
from entrepot.kernel.http.route import Ask
from entrepot.kernel.wallet import Wallet


class AskDispute(Ask, frozen=True):
    """The dispute of one trade, or an act in it that takes nothing more."""

    by: Wallet
    order_id: UUID


class Rule(Ask, frozen=True):
    """How the arbitrator rules."""

    by: Wallet
    order_id: UUID
    favor_buyer: bool
    """True refunds the buyer, false pays the seller; either less the arbitrator's fee."""


class Evidence(msgspec.Struct, frozen=True):
    """A piece of evidence that is on record at the contract."""

    ipfs_hash: str
    """As the party told the contract; the CID of the encrypted payload where it was handed in here."""
    submitter_wallet: Wallet
    evidence_type: EvidenceType
    arbitrator_wallet: Wallet | None
    """Whom, beside the parties, it is sealed to; null where it was not handed in here, and so is not kept here."""
    created_at: datetime
    """When the contract put it on record."""


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute as the contract has it. Deadlines are the contract's own."""

    order_id: UUID
    status: OrderStatus
    buyer_wallet: Wallet
    seller_wallet: Wallet
    arbitrator_wallet: Wallet | None
    """Null until one is drawn, and after one has missed its deadline."""
    dispute_opened_at: datetime
    draw_block: int
    """An arbitrator can be drawn in a later block than this."""
    ruling_deadline: datetime | None
    """Until when the arbitrator may rule; null while there is none."""
    default_deadline: datetime
    """From when on anyone may have the buyer refunded, since nobody has ruled; until then evidence is taken."""
    evidence: list[Evidence]
