"""`entrepot migrate`: the database's schema, up, down, where it stands, and what is new."""

from typing import Annotated

import typer

from entrepot import console
from entrepot.commands import here
from entrepot.console import Failed
from entrepot.kernel.app import App
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import migrate
from entrepot.kernel.upkeep.lint import LintMissing
from entrepot.kernel.upkeep.lint import lint as findings
from entrepot.main import find_apps

group = typer.Typer(no_args_is_help=True, help="The database's schema: up, down, status, new, lint.")
Name = Annotated[str, typer.Argument(help="The app, by name; `core` is the kernel.")]
Json = Annotated[bool, typer.Option("--json", help="Answer JSON.")]


def named(apps: tuple[App, ...], name: str) -> App:
    """The app of that name."""
    for app in apps:
        if app.name == name:
            return app
    raise typer.BadParameter(f"there is no app {name!r} (there are: {', '.join(app.name for app in apps)})")


async def bring_up(settings: Settings) -> None:
    """Every app's schema to this release, with a bar."""
    apps = find_apps(settings.apps)
    done = f"schemas of {', '.join(app.name for app in apps)} are this release's"
    with console.bar("Migrating", len(apps), done) as bar:
        await migrate.up(here.owner_url(settings), apps, settings.server_role, lambda _app: bar.advance())


@group.command()
def up() -> None:
    """Bring every app's schema to this release, and the server role's rights with it.

    Exit status: 0 done or nothing to do, 1 the database does not answer, 2 a setting cannot be used.
    """
    with here.database() as settings:
        here.run(bring_up(settings), here.owner_url(settings))


@group.command()
def down(
    name: Name,
    to: Annotated[str, typer.Option(help="The revision to stop at; `base` is the empty schema.")] = "-1",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take back an app's last migration. What its tables hold goes with them.

    Exit status: 0 done, 1 not done, 2 bad usage.
    """
    with here.database() as settings:
        app = named(find_apps(settings.apps), name)
        if not yes and not typer.confirm(f"Take back {name}'s schema to {to}? What it holds is lost"):
            raise Failed("nothing was changed")
        here.run(migrate.down(here.owner_url(settings), app, to), here.owner_url(settings))
        console.mark("good", f"{name} taken back to {to}")


@group.command()
def status(*, json: Json = False) -> None:
    """Tell where every app's schema stands.

    Exit status: 0 all are this release's, 1 some are not, 2 a setting cannot be used.
    """
    with here.database() as settings:
        url = here.owner_url(settings)
        found = here.run(migrate.status(url, find_apps(settings.apps)), url)
    if json:
        told = [{"app": s.app, "has": s.has, "head": s.head, "is_current": s.is_current} for s in found]
        console.as_json(told)
    else:
        rows = [(s.app, s.has or "-", s.head, "current" if s.is_current else "behind") for s in found]
        console.table(("app", "has", "head", ""), rows)
    raise typer.Exit(0 if all(each.is_current for each in found) else 1)


@group.command()
def new(name: Name, message: Annotated[str, typer.Argument(help="What changes, in a few words.")]) -> None:
    """Write a migration from what tables.py has and the database has not; read it before you keep it.

    Exit status: 0 written, 1 not written, 2 bad usage.
    """
    with here.database() as settings:
        app = named(find_apps(settings.apps), name)
        made = here.run(migrate.new(here.owner_url(settings), app, message), here.owner_url(settings))
    console.mark("good", f"wrote {made}")


@group.command()
def lint(name: Annotated[str, typer.Argument(help="The app, by name; all, where none is named.")] = "") -> None:
    """Read the migrations as squawk does, and tell what would hold up traffic; needs no database.

    Exit status: 0 nothing was found, 1 something was, or squawk is not installed, 2 bad usage.
    """
    apps = find_apps(here.settings().apps)
    try:
        found = findings([named(apps, name)] if name else apps)
    except LintMissing as missing:
        raise Failed("squawk is not installed", "pip install squawk-cli") from missing
    for line in found:
        console.mark("bad", line)
    if found:
        raise typer.Exit(1)
    console.mark("good", "squawk finds nothing in the migrations")
