"""`entrepot vault`: the keys that seal the server's own secrets."""

from collections.abc import Mapping
from typing import Annotated

import typer

from entrepot import console
from entrepot.commands import here
from entrepot.console import Failed
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import rotation
from entrepot.kernel.vault import CannotUnseal
from entrepot.main import House

group = typer.Typer(no_args_is_help=True, help="The keys that seal the server's own secrets: status, rotate.")
Json = Annotated[bool, typer.Option("--json", help="Answer JSON.")]


@group.command()
def status(*, json: Json = False) -> None:
    """Tell which keys have sealed how many secrets; a key that has sealed none may be taken out of the settings.

    Exit status: 0 all are sealed by the newest key, 1 some are not, 2 a setting cannot be used.
    """
    with here.database() as settings:
        newest, used = here.run(look(settings), settings.database_url)
    if json:
        console.as_json({"newest": newest, "used": used})
    else:
        rows = [(each, str(count), "newest" if each == newest else "rotate") for each, count in used.items()]
        console.table(("key", "secrets", ""), rows)
    raise typer.Exit(0 if set(used) <= {newest} else 1)


async def look(settings: Settings) -> tuple[str, Mapping[str, int]]:
    """The newest key's id, and how many secrets each has sealed."""
    async with House(settings) as house:
        await here.require_current(settings.database_url, house.apps)
        async with house.database.read() as db:
            return house.vault.newest, await rotation.keys_in_use(db)


@group.command()
def rotate() -> None:
    """Seal every secret again by the newest key, the last of ENTREPOT_VAULT_KEYS; the market may run.

    Exit status: 0 done or nothing to do, 1 a secret's key is not among those given, 2 a setting cannot be used.
    """
    with here.database() as settings:
        try:
            names = here.run(turn(settings), settings.database_url)
        except CannotUnseal as cannot:
            raise Failed(f"nothing was changed: {cannot}", "add that key to ENTREPOT_VAULT_KEYS") from None
    console.mark("good", f"sealed again: {', '.join(names) or 'nothing, as all is sealed by the newest key'}")


async def turn(settings: Settings) -> list[str]:
    """The names of what was sealed again."""
    async with House(settings) as house:
        await here.require_current(settings.database_url, house.apps)
        async with house.database.write() as db:
            return await rotation.rotate(db, house.vault)
