"""`entrepot escrow recompute`: every profile's reputation, counted anew."""

import typer

from entrepot import console
from entrepot.apps.escrow.operations.reputation import rebuild_all
from entrepot.kernel.command import InHouse


def recompute(context: typer.Context) -> None:
    """Does `entrepot escrow recompute`."""
    in_house: InHouse = context.obj
    found = in_house(rebuild_all)
    console.mark("note" if found.changed else "good", f"{found.changed} of {found.profiles} profiles changed")
