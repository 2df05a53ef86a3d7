"""The words of `entrepot migrate`: up, down, where the schema stands, and what is new."""

from typing import Annotated

import typer

from entrepot.kernel.command import done_by

group = typer.Typer(no_args_is_help=True, help="The database's schema: up, down, status, new, lint.")
Name = Annotated[str, typer.Argument(help="The app, by name; `core` is the kernel.")]
Json = Annotated[bool, typer.Option("--json", help="Answer JSON.")]


@group.command()
@done_by("entrepot.commands.migrate:up")
def up() -> None:
    """Bring every app's schema to this release, and the server role's rights with it.

    Exit status: 0 done or nothing to do, 1 the database does not answer, 2 a setting cannot be used.
    """


@group.command()
@done_by("entrepot.commands.migrate:down")
def down(
    name: Name,
    to: Annotated[str, typer.Option(help="The revision to stop at; `base` is the empty schema.")] = "-1",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take back an app's last migration. What its tables hold goes with them.

    Exit status: 0 done, 1 not done, 2 bad usage.
    """


@group.command()
@done_by("entrepot.commands.migrate:status")
def status(*, json: Json = False) -> None:
    """Tell where every app's schema stands.

    Exit status: 0 all are this release's, 1 some are not, 2 a setting cannot be used.
    """


@group.command()
@done_by("entrepot.commands.migrate:new")
def new(name: Name, message: Annotated[str, typer.Argument(help="What changes, in a few words.")]) -> None:
    """Write a migration from what tables.py has and the database has not; read it before you keep it.

    Exit status: 0 written, 1 not written, 2 bad usage.
    """


@group.command()
@done_by("entrepot.commands.migrate:lint")
def lint(name: Annotated[str, typer.Argument(help="The app, by name; all, where none is named.")] = "") -> None:
    """Read the migrations as squawk does, and tell what would hold up traffic; needs no database.

    Exit status: 0 nothing was found, 1 something was, or squawk is not installed, 2 bad usage.
    """
