"""The events of P2PEscrow and ArbitratorPool, as they emit them. Amounts are base units, deadlines are Unix seconds."""

import json
from functools import cache

import msgspec

from entrepot.kernel.chain.abi import Contract, Event
from entrepot.kernel.chain.artifacts import Artifact


class OrderCreated(Event, frozen=True):
    """A buyer locked amount and fee."""

    order_id: int
    buyer: str
    seller: str
    token: str
    amount: int
    fee: int
    product_hash: bytes
    order_ref: bytes
    seller_deadline: int


class SellerConfirmed(Event, frozen=True):
    """The seller confirmed delivery; from `release_deadline` on anyone may release."""

    order_id: int
    delivery_hash: bytes
    release_deadline: int


class OrderCompleted(Event, frozen=True):
    """The seller was credited, by the buyer's word or by the timeout."""

    order_id: int
    automatic: bool
    seller_payout: int
    treasury_payout: int


class OrderCancelled(Event, frozen=True):
    """One party cancelled before delivery was confirmed; the buyer was credited with everything."""

    order_id: int
    by: str
    refund: int


class OrderExpired(Event, frozen=True):
    """The seller did not confirm in time; the buyer was credited with everything."""

    order_id: int
    refund: int


class DisputeOpened(Event, frozen=True):
    """A party disputes; an arbitrator may be drawn once `draw_block` is past."""

    order_id: int
    by: str
    draw_block: int
    deadline: int


class DrawPostponed(Event, frozen=True):
    """Nobody could be drawn, or the seed is gone; the draw is set again."""

    order_id: int
    missed: str
    draw_block: int


class ArbitratorDrawn(Event, frozen=True):
    """An arbitrator has until `deadline` to rule; from `default_deadline` on the default ruling may be called."""

    order_id: int
    arbitrator: str
    deadline: int
    default_deadline: int


class EvidenceSubmitted(Event, frozen=True):
    """A party points to encrypted evidence."""

    order_id: int
    by: str
    cid: str


class DisputeResolved(Event, frozen=True):
    """A ruling, or the default one."""

    order_id: int
    arbitrator: str
    favor_buyer: bool
    automatic: bool
    buyer_payout: int
    seller_payout: int
    arbitrator_payout: int
    treasury_payout: int


class EscrowSet(Event, frozen=True):
    """The pool serves this escrow from now on."""

    escrow: str


class ArbitratorRegistered(Event, frozen=True):
    """Somebody joined the pool, with the reputation that it left with where it was there before."""

    arbitrator: str
    stake: int
    reputation: int


class StakeIncreased(Event, frozen=True):
    """A member has more at stake; `stake` is all of it."""

    arbitrator: str
    stake: int
    active: bool


class ArbitratorWithdrawn(Event, frozen=True):
    """A member left and was paid its stake."""

    arbitrator: str
    stake: int


class Assigned(Event, frozen=True):
    """A member was drawn; `assigned` disputes wait for its ruling now."""

    arbitrator: str
    order_id: int
    assigned: int


class ReputationUpdated(Event, frozen=True):
    """A member has ruled in time (`consistent`) or let its deadline pass; the rest is what it has after that."""

    arbitrator: str
    order_id: int
    reputation: int
    active: bool
    stake: int
    assigned: int
    resolved: int
    consistent: bool


class Withdrawn(Event, frozen=True):
    """Somebody took out what it was credited. Both contracts emit this."""

    owner: str
    token: str
    to: str
    amount: int


OF_ORDERS = (
    OrderCreated,
    SellerConfirmed,
    OrderCompleted,
    OrderCancelled,
    OrderExpired,
    DisputeOpened,
    DrawPostponed,
    ArbitratorDrawn,
    EvidenceSubmitted,
    DisputeResolved,
)
OfMember = ArbitratorRegistered | StakeIncreased | ArbitratorWithdrawn | Assigned | ReputationUpdated
OF_MEMBERS = (ArbitratorRegistered, StakeIncreased, ArbitratorWithdrawn, Assigned, ReputationUpdated)
OF_POOL = (EscrowSet, *OF_MEMBERS, Withdrawn)
BY_NAME: dict[str, type[Event]] = {kind.__name__: kind for kind in (*OF_ORDERS, *OF_POOL)}


def as_json(event: Event) -> str:
    """The fields as they are stored; bytes are hexadecimal, integers whole, however large."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return json.dumps(fields, default=lambda raw: "0x" + raw.hex())


def from_json(name: str, stored: str) -> Event:
    """A stored event of an order or of a member of the pool."""
    kind = BY_NAME[name]
    fields = json.loads(stored)
    for field in msgspec.structs.fields(kind):
        if field.type is bytes:
            fields[field.name] = bytes.fromhex(fields[field.name][2:])
    return kind(**fields)


@cache
def contract() -> Contract:
    """P2PEscrow by its built ABI; fails where the events above differ from it."""
    return Contract(Artifact.load("P2PEscrow").abi, OF_ORDERS)


@cache
def pool() -> Contract:
    """ArbitratorPool by its built ABI; fails where the events above differ from it."""
    return Contract(Artifact.load("ArbitratorPool").abi, OF_POOL)
