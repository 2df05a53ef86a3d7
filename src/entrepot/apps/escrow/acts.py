"""What can be done with an order on its contract, as a table: who may, from when, until when, and what is paid then.

Which act is legal in which state, and what follows, is the state machine's to say (`model.ORDER`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from entrepot.apps.escrow import payouts
from entrepot.apps.escrow.model import OrderEvent, OrderStatus, Party
from entrepot.apps.escrow.payouts import Payout

Rule = Callable[[Decimal, Decimal], Payout]
"""What an act pays, of the amount and the platform fee."""


class Doer(StrEnum):
    """Who may do an act."""

    BUYER = Party.BUYER.value
    SELLER = Party.SELLER.value
    ARBITRATOR = Party.ARBITRATOR.value
    ANYONE = "anyone"


class Act(StrEnum):
    """The contract's calls that concern one order, by what they do."""

    CONFIRM_DELIVERY = "confirm_delivery"
    CANCEL = "cancel"
    EXPIRE = "expire"
    CONFIRM_RECEIPT = "confirm_receipt"
    RELEASE = "release"
    OPEN_DISPUTE = "open_dispute"
    DRAW_ARBITRATOR = "draw_arbitrator"
    SUBMIT_EVIDENCE = "submit_evidence"
    RULE_FOR_BUYER = "rule_for_buyer"
    RULE_FOR_SELLER = "rule_for_seller"
    RULE_BY_DEFAULT = "rule_by_default"


class Moment(StrEnum):
    """A deadline of the contract, by the column that mirrors it."""

    SELLER = "seller_deadline"
    RELEASE = "release_deadline"
    RULING = "dispute_deadline"
    DEFAULT = "default_deadline"


@dataclass(frozen=True)
class Terms:
    """The terms of one act. It is legal while time is at `begins` or later, and before `ends`."""

    act: Act
    by: tuple[Doer, ...]
    event: OrderEvent | None = None
    """What it does to the order; None where the order stays `DISPUTED`."""
    begins: Moment | None = None
    ends: Moment | None = None
    pays: Rule | None = None
    """None where it does not end the order."""


PARTIES = (Doer.BUYER, Doer.SELLER)
DURING = OrderStatus.DISPUTED
"""The state in which the acts that move nothing can be done."""

TERMS = (
    Terms(Act.CONFIRM_DELIVERY, (Doer.SELLER,), OrderEvent.CONFIRM_DELIVERY, ends=Moment.SELLER),
    Terms(Act.CANCEL, PARTIES, OrderEvent.CANCEL, pays=payouts.refunded),
    Terms(Act.EXPIRE, (Doer.ANYONE,), OrderEvent.EXPIRE, begins=Moment.SELLER, pays=payouts.refunded),
    Terms(Act.CONFIRM_RECEIPT, (Doer.BUYER,), OrderEvent.COMPLETE, pays=payouts.paid),
    Terms(Act.RELEASE, (Doer.ANYONE,), OrderEvent.COMPLETE, begins=Moment.RELEASE, pays=payouts.paid),
    Terms(Act.OPEN_DISPUTE, PARTIES, OrderEvent.DISPUTE, ends=Moment.RELEASE),
    Terms(Act.DRAW_ARBITRATOR, (Doer.ANYONE,), ends=Moment.DEFAULT),
    Terms(Act.SUBMIT_EVIDENCE, PARTIES, ends=Moment.DEFAULT),
    Terms(
        Act.RULE_FOR_BUYER,
        (Doer.ARBITRATOR,),
        OrderEvent.RULE_FOR_BUYER,
        ends=Moment.RULING,
        pays=payouts.ruled_for_buyer,
    ),
    Terms(
        Act.RULE_FOR_SELLER,
        (Doer.ARBITRATOR,),
        OrderEvent.RULE_FOR_SELLER,
        ends=Moment.RULING,
        pays=payouts.ruled_for_seller,
    ),
    Terms(
        Act.RULE_BY_DEFAULT,
        (Doer.ANYONE,),
        OrderEvent.RULE_FOR_BUYER,
        begins=Moment.DEFAULT,
        pays=payouts.refunded,
    ),
)
