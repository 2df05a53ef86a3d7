"""What the parties of a dispute and its arbitrator do: open it, draw, rule. Only the contract's events move orders."""

from typing import Annotated

from entrepot.apps.escrow.calls.disputes import AskDispute, Dispute, Rule
from entrepot.apps.escrow.calls.orders import PreparedAct
from entrepot.apps.escrow.model import ORDER, OrderEvent, OrderStatus
from entrepot.apps.escrow.operations.preparing import prepare
from entrepot.apps.escrow.refusals import (
    ArbitratorAtWork,
    ArbitratorConflicted,
    DrawTooEarly,
    NoSuchDispute,
    NoSuchOrder,
    TooLate,
)
from entrepot.apps.escrow.store import conflicts
from entrepot.apps.escrow.store import disputes as store
from entrepot.apps.escrow.store.conflicts import Reason
from entrepot.apps.escrow.store.disputes import Case
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.doors import Fresh, Json
from entrepot.kernel.refusal import WrongState


async def get_dispute(db: Fresh, ask: AskDispute) -> Annotated[Json, Dispute]:
    """Show the dispute of a trade: where it stands, the contract's deadlines, and what is on record as evidence."""
    found = await store.dispute(db, ask.order_id, ask.by)
    if found is None:
        raise NoSuchDispute
    return found


async def open_dispute(db: Fresh, ask: AskDispute, chains: Chains) -> PreparedAct:
    """Make the transaction by which either party disputes, which stops the buyer's time and calls for an arbitrator."""
    case = await party_case(db, ask)
    ORDER.after(case.status, OrderEvent.DISPUTE)
    assert case.release_deadline is not None, "the contract sets it at the confirmation"
    if case.now >= case.release_deadline:
        raise TooLate(case.release_deadline)
    return PreparedAct(await prepare(db, chains, case, "openDispute"))


async def draw_arbitrator(db: Fresh, ask: AskDispute, chains: Chains) -> PreparedAct:
    """Make the transaction that draws an arbitrator, or that calls for another where one has missed its deadline.

    The second only sets a new block to draw by; draw again when that is past. Anyone may send it.
    """
    case = await party_case(db, ask)
    disputed(case, "draw")
    assert case.default_deadline is not None, "the contract sets it with the dispute"
    if case.now >= case.default_deadline:
        raise TooLate(case.default_deadline)
    if case.arbitrator_wallet is not None:
        assert case.dispute_deadline is not None, "the contract sets it with the draw"
        if case.now < case.dispute_deadline:
            raise ArbitratorAtWork(case.arbitrator_wallet, case.dispute_deadline)
    elif case.draw_block is not None and case.last_block < case.draw_block:
        raise DrawTooEarly(case.draw_block, case.last_block)
    return PreparedAct(await prepare(db, chains, case, "drawArbitrator"))


async def rule(db: Fresh, ask: Rule, chains: Chains) -> PreparedAct:
    """Make the transaction by which the arbitrator rules, which pays out at once.

    Whoever has traded with a party of late, or ruled for one, is in conflict and is not helped to rule. Who was drawn
    and is not active any more may rule: the contract takes it.
    """
    case = await store.case(db, ask.order_id, ask.by)
    if case is None or case.arbitrator_wallet != ask.by:
        raise NoSuchOrder
    ORDER.after(case.status, OrderEvent.RULE_FOR_BUYER if ask.favor_buyer else OrderEvent.RULE_FOR_SELLER)
    assert case.dispute_deadline is not None, "the contract sets it with the draw"
    if case.now >= case.dispute_deadline:
        raise TooLate(case.dispute_deadline)
    reasons = set(await conflicts.of(db, ask.by, case.id)) - {Reason.INACTIVE}
    if reasons:
        raise ArbitratorConflicted(sorted(reasons))
    return PreparedAct(await prepare(db, chains, case, "resolveDispute", ask.favor_buyer))


async def party_case(db: Fresh, ask: AskDispute) -> Case:
    """The order, for a party of it; refuses everybody else, its arbitrator too."""
    case = await store.case(db, ask.order_id, ask.by)
    if case is None or ask.by not in case.parties:
        raise NoSuchOrder
    return case


def disputed(case: Case, event: str) -> None:
    """Refuses what can be done in a dispute only."""
    if case.status is not OrderStatus.DISPUTED:
        raise WrongState(state=case.status, event=event, expected=OrderStatus.DISPUTED)
