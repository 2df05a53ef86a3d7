"""`entrepot migrate`: the database's schema, up, down, where it stands, and what is new."""

import typer

from entrepot import console
from entrepot.commands import here
from entrepot.console import Failed
from entrepot.kernel.app import App
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import migrate, revisions
from entrepot.kernel.upkeep.lint import LintMissing
from entrepot.kernel.upkeep.lint import lint as findings
from entrepot.main import find_apps


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


def up() -> None:
    """Does `entrepot migrate up`."""
    with here.database() as settings:
        here.run(bring_up(settings), here.owner_url(settings))


def down(name: str, to: str, *, yes: bool) -> None:
    """Does `entrepot migrate down`."""
    with here.database() as settings:
        app = named(find_apps(settings.apps), name)
        if not yes and not typer.confirm(f"Take back {name}'s schema to {to}? What it holds is lost"):
            raise Failed("nothing was changed")
        here.run(migrate.down(here.owner_url(settings), app, to), here.owner_url(settings))
        console.mark("good", f"{name} taken back to {to}")


def status(*, json: bool) -> None:
    """Does `entrepot migrate status`."""
    with here.database() as settings:
        url = here.owner_url(settings)
        found = here.run(revisions.status(url, find_apps(settings.apps)), url)
    if json:
        told = [{"app": s.app, "has": s.has, "head": s.head, "is_current": s.is_current} for s in found]
        console.as_json(told)
    else:
        rows = [(s.app, s.has or "-", s.head, "current" if s.is_current else "behind") for s in found]
        console.table(("app", "has", "head", ""), rows)
    raise typer.Exit(0 if all(each.is_current for each in found) else 1)


def new(name: str, message: str) -> None:
    """Does `entrepot migrate new`."""
    with here.database() as settings:
        app = named(find_apps(settings.apps), name)
        made = here.run(migrate.new(here.owner_url(settings), app, message), here.owner_url(settings))
    console.mark("good", f"wrote {made}")


def lint(name: str) -> None:
    """Does `entrepot migrate lint`."""
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
