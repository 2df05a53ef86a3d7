"""What `entrepot escrow` offers to operators."""

import typer

from entrepot import console
from entrepot.apps.escrow.operations.reputation import rebuild_all
from entrepot.apps.escrow.shell import blacklist
from entrepot.apps.escrow.shell.audit import audit
from entrepot.kernel.command import InHouse

COMMANDS = typer.Typer(no_args_is_help=True, help="The market: audit, blacklist, recompute.")
COMMANDS.add_typer(blacklist.group, name="blacklist")
COMMANDS.command()(audit)


@COMMANDS.callback()
def market() -> None:
    """Stands for `entrepot escrow` itself, which otherwise would be its only command."""


@COMMANDS.command()
def recompute(context: typer.Context) -> None:
    """Count every profile's reputation, rating, trades and tier anew from its orders and reviews.

    It should change nothing, and may run while the market does. Exit status: 0 done, 1 the database is behind this
    release or does not answer, 2 a setting cannot be used.
    """
    in_house: InHouse = context.obj
    found = in_house(rebuild_all)
    console.mark("note" if found.changed else "good", f"{found.changed} of {found.profiles} profiles changed")
