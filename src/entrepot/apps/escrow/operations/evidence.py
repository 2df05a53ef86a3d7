"""What is done with evidence: a party hands it in, all three read it, and the contract's events put it on record."""

from collections.abc import Sequence
from typing import Annotated

from entrepot.apps.escrow.calls.disputes import AskDispute
from entrepot.apps.escrow.calls.evidence import (
    GetEvidence,
    SealedEvidence,
    SubmitEvidence,
    SubmittedEvidence,
    document,
)
from entrepot.apps.escrow.events import EvidenceSubmitted
from entrepot.apps.escrow.operations.disputes import disputed, party_case
from entrepot.apps.escrow.operations.fold import Placed
from entrepot.apps.escrow.operations.preparing import prepare
from entrepot.apps.escrow.refusals import NoArbitratorYet, NoSuchEvidence, NoSuchOrder, TooLate, TooMuchEvidence
from entrepot.apps.escrow.store import disputes
from entrepot.apps.escrow.store import evidence as store
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.doors import Fresh, Json, Write
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.store.objects import ObjectAltered, ObjectMissing, Objects, unavailable
from entrepot.kernel.values import new_id

MOST_PIECES = 20
"""That one party may hand in for one arbitrator of one order; what is there already may be handed in again."""


async def submit_evidence(db: Write, ask: SubmitEvidence, chains: Chains, objects: Objects) -> SubmittedEvidence:
    """Keep encrypted evidence and make the transaction that puts its address on record at the contract.

    The document {encrypted_data, iv, keys} is kept as it is, with its members in this order, wallets sorted, and no
    space between: who hands it in can reckon the CID, and should before signing. It is kept last, inside the
    transaction, so that nothing is written where anything is refused or the store does not answer.
    """
    case = await party_case(db, AskDispute(by=ask.by, order_id=ask.order_id))
    disputed(case, "evidence")
    assert case.default_deadline is not None, "the contract sets it with the dispute"
    if case.now >= case.default_deadline:
        raise TooLate(case.default_deadline)
    if case.arbitrator_wallet is None:
        raise NoArbitratorYet
    if set(ask.keys) != {*case.parties, case.arbitrator_wallet}:
        raise Malformed("keys", "must be for the buyer, the seller and the arbitrator, and for nobody else")
    content = document(SealedEvidence(ask.encrypted_data, ask.iv, ask.keys))
    cid = objects.address(content)
    await store.hold(db, case.id, ask.by)
    if await store.count_others(db, case.id, ask.by, cid, case.arbitrator_wallet) >= MOST_PIECES:
        raise TooMuchEvidence(MOST_PIECES)
    transaction = await prepare(db, chains, case, "submitEvidence", cid)
    await store.add(db, case.id, ask.by, cid, ask.evidence_type, case.arbitrator_wallet, len(content))
    try:
        await objects.put(content)
    except ObjectAltered as altered:
        raise unavailable() from altered
    return SubmittedEvidence(cid, len(content), transaction)


async def get_evidence(db: Fresh, ask: GetEvidence, objects: Objects) -> Annotated[Json, SealedEvidence]:
    """Show a piece of evidence, encrypted as it was handed in."""
    case = await disputes.case(db, ask.order_id, ask.by)
    if case is None:
        raise NoSuchOrder
    if not await store.is_readable(db, case.id, ask.cid, ask.by):
        raise NoSuchEvidence
    try:
        return Json(await objects.get(ask.cid))
    except ObjectMissing:
        raise NoSuchEvidence from None
    except ObjectAltered as altered:
        raise unavailable() from altered


async def record(db: Write, chain: str, placed: Sequence[Placed]) -> None:
    """Puts on record what these events say; comes after their orders are written."""
    said = [(one, one.event) for one in placed if isinstance(one.event, EvidenceSubmitted)]
    if not said:
        return
    await store.record(
        db,
        chain,
        ids=[new_id() for _ in said],
        numbers=[event.order_id for _, event in said],
        wallets=[event.by for _, event in said],
        cids=[event.cid for _, event in said],
        ats=[one.at for one, _ in said],
        blocks=[one.block_number for one, _ in said],
    )
