"""The command line: the kernel's commands and each app's own, and exit codes that mean something."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from entrepot import console
from entrepot.commands import (
    archive,
    backup,
    chain,
    demo,
    doctor,
    maintain,
    migrate,
    schema,
    serve,
    task,
    up,
    vault,
    worker,
)
from entrepot.commands.inside import in_house
from entrepot.console import Failed
from entrepot.kernel.settings import BadSettings
from entrepot.main import find_apps

FAILED, BAD_USAGE = 1, 2
HELP = """One self-hosted back end, on PostgreSQL, for trade between wallets.

Begin with `entrepot up`. Settings are environment variables; the README has them all.

Exit status of every command: 0 all is well, 1 it found a problem or failed, 2 bad usage or a bad setting.
"""


def tell_version(*, wanted: bool) -> None:
    """Prints the version and ends."""
    if wanted:
        print(f"entrepot {version('entrepot')}")
        raise typer.Exit


def root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=lambda wanted: tell_version(wanted=wanted), is_eager=True)
    ] = False,
) -> None:
    """Stands for `entrepot` itself."""


def build() -> typer.Typer:
    """The whole command line; raises `BadSettings` where ENTREPOT_APPS names an app that is not there."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=HELP)
    app.callback()(root)
    for command in (up.up, serve.serve, worker.worker, doctor.doctor, maintain.maintain, demo.demo):
        app.command()(command)
    app.add_typer(migrate.group, name="migrate")
    app.add_typer(schema.group, name="schema")
    app.add_typer(task.group, name="task")
    app.add_typer(vault.group, name="vault")
    app.add_typer(chain.group, name="chain")
    app.add_typer(archive.group, name="archive")
    app.add_typer(backup.group, name="backup")
    app.add_typer(archive.retention_group, name="retention")
    for each in find_apps():
        if each.commands is not None:
            app.add_typer(each.commands, name=each.name)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its status."""
    try:
        build()(arguments, obj=in_house)
    except BadSettings as bad:
        console.complain(Failed(str(bad)))
        sys.exit(BAD_USAGE)
    except Failed as failed:
        console.complain(failed)
        sys.exit(FAILED)
