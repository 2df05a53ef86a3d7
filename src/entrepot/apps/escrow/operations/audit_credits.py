"""The audit of credits: whether what the events paid out and what was withdrawn leave what the escrow owes to each."""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from entrepot.apps.escrow.operations.findings import ChainAudit, Difference
from entrepot.apps.escrow.operations.views import Views
from entrepot.apps.escrow.store import audit_credits as store
from entrepot.apps.escrow.store import mirror
from entrepot.apps.escrow.store.audit_credits import START, Treasury
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.db.doors import Read

AT_ONCE = 20_000
"""Events that one statement adds up: some tenths of a second of the server's fifteen."""
Owed = tuple[str, str]
"""Who is owed, in which token."""


class Credits(msgspec.Struct, frozen=True):
    """Base units by owner and token, when the mirror had reached that block."""

    block: int
    hash: str
    units: Mapping[Owed, int]


async def compare_credits(views: Views, tokens: Mapping[str, Deployed], found: ChainAudit, *, every: bool) -> None:
    """Of everyone to whom the contract owes something, or (`every`) ever owed. `tokens` are by address."""

    async def read(db: Read) -> Credits | None:
        return await _credits(db, views.contract, every=every)

    ours, theirs = await views.both(read, lambda found: [("credits", owed) for owed in found.units])
    for ((owner, token), units), says in zip(ours.units.items(), theirs, strict=True):
        if units != says:
            known = tokens.get(token)
            name, decimals = (known.name, known.decimals or 0) if known else (token, 0)
            sides = [f"{Decimal(side).scaleb(-decimals):f}" for side in (units, says)]
            found.differences.append(Difference(None, f"credit in {name}", sides[0], sides[1], owner))
    found.credits = len(ours.units)


async def _credits(db: Read, contract: Deployed, *, every: bool) -> Credits | None:
    """Adds up the whole journal, page after page."""
    reached = await mirror.position(db, contract.chain, contract.address)
    if reached is None:
        return None
    units: defaultdict[Owed, int] = defaultdict(int)
    treasuries: list[Treasury] = []
    place = START
    while (stretch := await store.stretch(db, contract, place, AT_ONCE)) is not None:
        treasuries += stretch.treasuries
        for credit in await store.credited(db, contract, place, stretch.last, treasuries):
            units[credit.owner, credit.token] += int(credit.units)
        place = stretch.last
    return Credits(reached.block, reached.hash, {owed: sum_ for owed, sum_ in units.items() if sum_ or every})
