"""The command line: the kernel's commands and each app's own, and exit codes that mean something."""

import pkgutil
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated

import typer

from entrepot import apps as applications
from entrepot import console
from entrepot.console import Failed
from entrepot.kernel.deferred import by_name
from entrepot.kernel.settings import BadSettings
from entrepot.usage import archive, backup, care, chain, migrate, running

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


def of_apps() -> Iterator[tuple[str, typer.Typer]]:
    """What each application offers, by its name. The rest of the application is not imported."""
    for module in pkgutil.iter_modules(applications.__path__):
        place = f"entrepot.apps.{module.name}.commands"
        if find_spec(place) is not None:
            yield module.name, import_module(place).COMMANDS


def build() -> typer.Typer:
    """The whole command line, whose commands import what they need when they are called."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=HELP)
    app.callback()(root)
    for command in (running.up, running.serve, running.worker, care.doctor, care.maintain, running.demo):
        app.command()(command)
    app.add_typer(migrate.group, name="migrate")
    app.add_typer(care.schema, name="schema")
    app.add_typer(care.task, name="task")
    app.add_typer(care.vault, name="vault")
    app.add_typer(chain.group, name="chain")
    app.add_typer(archive.group, name="archive")
    app.add_typer(backup.group, name="backup")
    app.add_typer(archive.retention, name="retention")
    for name, commands in of_apps():
        app.add_typer(commands, name=name)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its status."""
    try:
        build()(arguments, obj=by_name("entrepot.commands.inside:in_house"))
    except BadSettings as bad:
        console.complain(Failed(str(bad)))
        sys.exit(BAD_USAGE)
    except Failed as failed:
        console.complain(failed)
        sys.exit(FAILED)
