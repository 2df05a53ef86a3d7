"""`entrepot vault`: the keys that seal the server's own secrets."""

from collections.abc import Mapping

import typer

from entrepot import console
from entrepot.commands import here
from entrepot.console import Failed
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import rotation
from entrepot.kernel.vault import CannotUnseal
from entrepot.main import House


def status(*, json: bool) -> None:
    """Does `entrepot vault status`."""
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


def rotate() -> None:
    """Does `entrepot vault rotate`."""
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
