"""`entrepot escrow audit`: what the mirror and the contract say differently."""

from collections.abc import Sequence

import msgspec
import typer

from entrepot import console
from entrepot.apps.escrow.operations import audit as operations
from entrepot.apps.escrow.operations.findings import ChainAudit
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.command import InHouse
from entrepot.kernel.db.database import Database
from entrepot.kernel.values import write_value


def audit(context: typer.Context, *, json: bool, every: bool) -> None:
    """Does `entrepot escrow audit`."""
    in_house: InHouse = context.obj
    found = in_house(quietly if json else watched, every=every)
    if json:
        console.as_json(
            [{**msgspec.to_builtins(each, enc_hook=write_value), "is_well": each.is_well} for each in found]
        )
    else:
        show(found)
    raise typer.Exit(0 if all(each.is_well for each in found) else 1)


async def quietly(database: Database, chains: Chains, every: bool) -> list[ChainAudit]:  # noqa: FBT001
    """The audit alone."""
    return await operations.audit(database, chains, lambda _more: None, every=every)


async def watched(database: Database, chains: Chains, every: bool) -> list[ChainAudit]:  # noqa: FBT001
    """The audit, with a bar."""
    total = await operations.how_many(database, chains, every=every)
    with console.bar("Comparing", total, "compared") as bar:
        return await operations.audit(database, chains, bar.advance, every=every)


def show(found: Sequence[ChainAudit]) -> None:
    """As text: a line for each chain, and under it what differs."""
    if not found:
        console.mark("note", "no chain is configured", "set ENTREPOT_CHAINS, or run entrepot up")
    for each in found:
        console.mark("good" if each.is_well else "bad", f"[name]{each.chain}[/]: {told(each)}")
        if each.differences:
            rows = [
                (one.wallet or ("-" if one.order is None else str(one.order)), one.field, one.database, one.contract)
                for one in each.differences
            ]
            console.table(("order, or wallet", "field", "database", "contract"), rows)


def told(audit: ChainAudit) -> str:
    """One chain in a few words."""
    if audit.fault and audit.block is None:
        return f"could not be compared: {audit.fault}"
    if audit.block is None:
        return "nothing is deployed there"
    differ = len(audit.differences)
    word = "nothing differs" if not differ else f"{differ} difference{'' if differ == 1 else 's'}"
    rest = f"; the rest could not be compared: {audit.fault}" if audit.fault else ""
    counts = ((audit.orders, "order"), (audit.arbitrators, "arbitrator"), (audit.credits, "credit"))
    compared = ", ".join(f"{many} {noun}{'' if many == 1 else 's'}" for many, noun in counts)
    return f"{word} in {compared} at block {audit.block}{rest}"
