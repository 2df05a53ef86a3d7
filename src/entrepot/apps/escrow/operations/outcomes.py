"""What can be done with an order now, and who is paid what: by the state machine, the acts and the payout rule."""

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from entrepot.apps.escrow.acts import DURING, TERMS, Act, Terms
from entrepot.apps.escrow.calls.orders import GetOrder
from entrepot.apps.escrow.calls.outcomes import Outcome, Outcomes, Payouts, Sum
from entrepot.apps.escrow.model import OPEN, ORDER
from entrepot.apps.escrow.payouts import NOTHING, Payout
from entrepot.apps.escrow.refusals import NoSuchOrder
from entrepot.apps.escrow.store import disputes
from entrepot.apps.escrow.store.disputes import Case
from entrepot.kernel.chain import registry
from entrepot.kernel.db.doors import Fresh
from entrepot.kernel.money import Amount, to_units
from entrepot.kernel.refusal import Unavailable


async def list_outcomes(db: Fresh, ask: GetOrder) -> Outcomes:
    """List what can be done with a trade now, by whom and until when, and who is paid what then."""
    case = await disputes.case(db, ask.id, ask.by)
    if case is None:
        raise NoSuchOrder
    token = await registry.find(db, case.chain, case.token)
    if token is None or token.decimals is None:
        raise Unavailable(part=f"chain {case.chain}")
    total = case.amount + case.platform_fee if case.status in OPEN else NOTHING
    return Outcomes(
        order_id=case.id,
        status=case.status,
        token=case.token,
        decimals=token.decimals,
        locked=in_units(total, token.decimals),
        at=case.now,
        items=[outcome(case, terms, token.decimals) for terms in legal(case)],
    )


def legal(case: Case) -> Iterator[Terms]:
    """The terms of every act that the contract takes in a block that comes now."""
    for terms in TERMS:
        fits = case.status is DURING if terms.event is None else ORDER.takes(case.status, terms.event)
        if fits and is_time(case, terms):
            yield terms


def is_time(case: Case, terms: Terms) -> bool:
    """Whether time allows it, and for a draw or a ruling whether the arbitrator's chair is empty or taken."""
    begins = getattr(case, terms.begins) if terms.begins else None
    ends = getattr(case, terms.ends) if terms.ends else None
    if (begins is not None and case.now < begins) or (ends is not None and case.now >= ends):
        return False
    seated = case.arbitrator_wallet is not None
    if terms.act in {Act.RULE_FOR_BUYER, Act.RULE_FOR_SELLER}:
        return seated
    if terms.act is Act.DRAW_ARBITRATOR:
        missed = case.dispute_deadline is not None and case.now >= case.dispute_deadline
        return missed if seated else case.draw_block is not None and case.last_block >= case.draw_block
    return True


def outcome(case: Case, terms: Terms, decimals: int) -> Outcome:
    """What follows from an act."""
    return Outcome(
        act=terms.act,
        by=list(terms.by),
        until=getattr(case, terms.ends) if terms.ends else None,
        status=case.status if terms.event is None else ORDER.after(case.status, terms.event),
        payouts=None if terms.pays is None else sums(terms.pays(case.amount, case.platform_fee), decimals),
    )


def sums(payout: Payout, decimals: int) -> Payouts:
    """A payout as it is shown."""
    return Payouts(*[in_units(part, decimals) for part in msgspec.structs.astuple(payout)])


def in_units(amount: Decimal, decimals: int) -> Sum:
    """A sum, both ways."""
    return Sum(Amount(amount), str(to_units(amount, decimals)))
