"""The words of `entrepot archive` and `entrepot retention`: what left the database, and how it comes back."""

from typing import Annotated
from uuid import UUID

import typer

from entrepot.kernel.command import done_by

group = typer.Typer(no_args_is_help=True, help="What left the database: list, verify, restore.")
retention = typer.Typer(no_args_is_help=True, help="Old rows: run.")
Json = Annotated[bool, typer.Option("--json", help="Answer JSON.")]


@retention.callback()
def old_rows() -> None:
    """Stands for `entrepot retention` itself, which otherwise would be its only command."""


@retention.command()
@done_by("entrepot.commands.archive:run")
def run(*, json: Json = False) -> None:
    """Let go what is old: archive it, read it back, and remove it once a proven backup covers it.

    Exit status: 0 done, 1 something failed or another run is at work, 2 a setting cannot be used.
    """


@group.command("list")
@done_by("entrepot.commands.archive:list_all")
def list_all(
    table: Annotated[str | None, typer.Option(help="Of this table only: app.table.")] = None, *, json: Json = False
) -> None:
    """Tell what archives there are, the oldest first.

    Exit status: 0 told, 1 the database does not answer, 2 a setting cannot be used.
    """


@group.command()
@done_by("entrepot.commands.archive:verify")
def verify(
    which: Annotated[list[UUID] | None, typer.Argument(help="The archives, by id; none: every one.")] = None,
    *,
    json: Json = False,
) -> None:
    """Read archives from the store, whole, and compare them with what was proven.

    Exit status: 0 all are whole, 1 one is not or is missing, 2 a setting cannot be used.
    """


@group.command()
@done_by("entrepot.commands.archive:restore")
def restore(
    which: Annotated[UUID, typer.Argument(help="The archive, by its id.")],
    into: Annotated[
        str | None, typer.Option(help="A new table of their schema to bring them to, made by the owner.")
    ] = None,
) -> None:
    """Bring an archive's rows back, all or none: to their table, or to look at them to a new one.

    What goes back to its table is as old as it was, so the next run takes it out again, into another archive.
    Exit status: 0 they are back, 1 they are not, 2 a setting cannot be used.
    """
