"""`entrepot schema`: what the database's schema is, as SQL."""

from typing import Annotated

import typer

from entrepot.commands import here
from entrepot.commands.migrate import named
from entrepot.console import Failed
from entrepot.kernel.upkeep import schema
from entrepot.kernel.upkeep.backup.model import BackupFailed
from entrepot.main import find_apps

group = typer.Typer(no_args_is_help=True, help="The database's schema as SQL: dump.")


@group.callback()
def of_schema() -> None:
    """Makes `dump` a word of its own, although it is the only one."""


@group.command()
def dump(
    name: Annotated[str, typer.Argument(help="The app, by name; `core` is the kernel. All, where none is named.")] = "",
) -> None:
    """Print the schema as plain SQL, as it stands in the database.

    Exit status: 0 printed, 1 the database or pg_dump does not answer, 2 bad usage.
    """
    with here.database() as settings:
        url, apps = here.owner_url(settings), find_apps(settings.apps)
        chosen = [named(apps, name)] if name else apps
        try:
            for app in chosen:
                print(here.run(schema.dump(url, app.name, settings.postgres_programs), url))
        except BackupFailed as failed:
            raise Failed(failed.what, failed.mend) from None
