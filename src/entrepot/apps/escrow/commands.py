"""What `entrepot escrow` offers to operators: the words; what does them is in `shell`, imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from entrepot.apps.escrow.model import BlacklistSource
from entrepot.kernel.command import done_by

COMMANDS = typer.Typer(no_args_is_help=True, help="The market: audit, blacklist, recompute.")
Json = Annotated[bool, typer.Option("--json", help="Answer JSON.")]
Address = Annotated[str, typer.Argument(metavar="WALLET", help="Its address.")]
Why = Annotated[str, typer.Option(help="Why they may not trade, in at most 200 characters.")]

blacklist = typer.Typer(no_args_is_help=True, help="The wallets that may not trade here: list, add, remove, import.")
COMMANDS.add_typer(blacklist, name="blacklist")


@COMMANDS.callback()
def market() -> None:
    """Stands for `entrepot escrow` itself, which otherwise would be its only command."""


@COMMANDS.command()
@done_by("entrepot.apps.escrow.shell.audit:audit")
def audit(
    context: typer.Context,
    *,
    json: Json = False,
    every: Annotated[bool, typer.Option("--all", help="Compare orders that have ended, too.")] = False,
) -> None:
    """Compare open orders, arbitrators and credits with the contracts' own views, on every chain; tell what differs.

    May run at any time, as it compares at the block that the mirror has reached. Changes nothing. Exit status: 0
    nothing differs, 1 something does or could not be compared, 2 a setting cannot be used.
    """


@COMMANDS.command()
@done_by("entrepot.apps.escrow.shell.recompute:recompute")
def recompute(context: typer.Context) -> None:
    """Count every profile's reputation, rating, trades and tier anew from its orders and reviews.

    It should change nothing, and may run while the market does. Exit status: 0 done, 1 the database is behind this
    release or does not answer, 2 a setting cannot be used.
    """


@blacklist.command("list")
@done_by("entrepot.apps.escrow.shell.blacklist:show")
def show(
    context: typer.Context,
    source: Annotated[BlacklistSource | None, typer.Option(help="Only those from this source.")] = None,
    *,
    json: Json = False,
) -> None:
    """Show who is on the blacklist, the newest first.

    Exit status: 0 done, 1 the database is behind this release or does not answer, 2 bad usage.
    """


@blacklist.command()
@done_by("entrepot.apps.escrow.shell.blacklist:add")
def add(
    context: typer.Context,
    wallet: Address,
    reason: Why,
    source: Annotated[BlacklistSource, typer.Option(help="Who says so.")] = BlacklistSource.MANUAL,
) -> None:
    """Put a wallet on the blacklist, sign it out, hide its listings and end its reservations.

    Exit status: 0 done, 1 it is there already or the database does not answer, 2 bad usage.
    """


@blacklist.command()
@done_by("entrepot.apps.escrow.shell.blacklist:remove")
def remove(context: typer.Context, wallet: Address) -> None:
    """Take a wallet off the blacklist; its listings are shown again.

    Exit status: 0 done, 1 it is not there or the database does not answer, 2 bad usage.
    """


@blacklist.command("import")
@done_by("entrepot.apps.escrow.shell.blacklist:import_file")
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="One address a line; # begins a comment.")],
    source: Annotated[BlacklistSource, typer.Option(help="Who says so.")],
    reason: Why,
) -> None:
    """Put every wallet of a list on the blacklist, or none where a line of it is no address.

    Those that are there already stay as they are. Exit status: 0 done, 1 nothing was imported, 2 bad usage.
    """
