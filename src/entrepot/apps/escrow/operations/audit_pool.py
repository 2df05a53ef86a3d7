"""The audit of arbitrators: whether the mirror says of every member of a pool what the pool says."""

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from entrepot.apps.escrow.operations.findings import ChainAudit, Difference, shown
from entrepot.apps.escrow.operations.views import Views
from entrepot.apps.escrow.store import audit_pool as store
from entrepot.apps.escrow.store.audit_pool import MemberPage, MemberRow
from entrepot.kernel.chain.rpc import BATCH

AT_ONCE = 5 * BATCH


async def compare_members(views: Views, decimals: int, found: ChainAudit) -> None:
    """Page after page, by wallet: stake, reputation, counts, whether it is active, and how many are in the pool."""
    after, members = "", 0
    page, (size,) = await views.both(partial(store.size, contract=views.contract), lambda _: [("size", ())])
    if page.members != size:
        found.differences.append(Difference(None, "arbitrators in the pool", str(page.members), str(size)))
    while True:
        rows, says = await views.both(
            partial(store.members, contract=views.contract, after=after, most=AT_ONCE), _calls
        )
        for row, view in zip(rows.rows, says, strict=True):
            found.differences += _member(row, view, decimals)
        members += len(rows.rows)
        if len(rows.rows) < AT_ONCE:
            break
        after = rows.rows[-1].wallet
    found.arbitrators = members


def _calls(page: MemberPage) -> list[tuple[str, tuple[object, ...]]]:
    return [("getArbitrator", (row.wallet,)) for row in page.rows]


def _member(row: MemberRow, view: Any, decimals: int) -> Iterator[Difference]:
    says: dict[str, object] = {
        "stake_amount": Decimal(view.stake).scaleb(-decimals),
        "reputation": view.reputation,
        "is_active": view.active,
        "assigned": view.assigned,
        "total_resolved": view.resolved,
        "is_summed": True,
    }
    for field, theirs in says.items():
        ours = getattr(row, field)
        if ours != theirs:
            yield Difference(None, field, shown(ours), shown(theirs), row.wallet)
