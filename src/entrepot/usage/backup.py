"""The words of `entrepot backup`: backups that are proven by restoring them."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from entrepot.kernel.command import done_by

group = typer.Typer(no_args_is_help=True, help="Backups: create, list, verify, restore, prune, dump.")
Json = Annotated[bool, typer.Option("--json", help="Answer JSON.")]
Unsealed = Annotated[bool, typer.Option("--unsealed", help="Take what is not sealed, too, though there are keys.")]


@group.command()
@done_by("entrepot.commands.backup:create")
def create(
    *,
    incremental: Annotated[bool, typer.Option("--incremental", help="Only what changed since the last one.")] = False,
    json: Json = False,
) -> None:
    """Take a backup of the whole server, full or incremental (PostgreSQL 17 or newer, with summarize_wal).

    Exit status: 0 taken, 1 it could not be, 2 a setting cannot be used.
    """


@group.command("list")
@done_by("entrepot.commands.backup:show")
def show(*, json: Json = False) -> None:
    """Tell which backups there are, whether they are proven, and how far the archive of the WAL reaches.

    Exit status: 0 told, 1 the place or the database does not answer, 2 a setting cannot be used.
    """


@group.command()
@done_by("entrepot.commands.backup:verify")
def verify(
    backup: Annotated[
        UUID | None, typer.Argument(help="The backup, by its id; the newest where none is given.")
    ] = None,
    *,
    unsealed: Unsealed = False,
    json: Json = False,
) -> None:
    """Restore a backup beside the server, compare it with the server at the same LSN, and note the outcome.

    Exit status: 0 it is proven, 1 it is not, 2 a setting cannot be used.
    """


@group.command()
@done_by("entrepot.commands.backup:restore")
def restore(
    folder: Annotated[Path, typer.Argument(help="Where the server's files shall be; empty, or not there yet.")],
    *,
    to: Annotated[str, typer.Option(help="A time (2026-01-31T12:00:00Z) or an LSN; else as far as the WAL goes.")] = "",
    system: Annotated[str, typer.Option(help="Whose backups, where there are several servers'.")] = "",
    unsealed: Unsealed = False,
) -> None:
    """Make in a folder the server as it was at a time. Neither the database nor what runs is touched or needed.

    Exit status: 0 it stands there, stopped; 1 it could not be restored; 2 a setting cannot be used.
    """


@group.command()
@done_by("entrepot.commands.backup:prune")
def prune() -> None:
    """Remove what no moment of the window (ENTREPOT_BACKUP_WINDOW) is restored from, and what was cut off.

    Exit status: 0 done, or there was nothing; 1 not done; 2 a setting cannot be used.
    """


@group.command()
@done_by("entrepot.commands.backup:dump")
def dump(
    table: Annotated[str, typer.Argument(help="schema.table")],
    file: Annotated[Path, typer.Argument(help="A new file, for pg_restore.")],
) -> None:
    """Write one table into a file: its rows, as one moment saw them, and its definition.

    Exit status: 0 written, 1 not written, 2 a setting cannot be used.
    """
