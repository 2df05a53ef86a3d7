"""The way into the house for commands that the apps bring along."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from entrepot.commands import here
from entrepot.kernel.settings import Settings
from entrepot.kernel.supply import supply, wants
from entrepot.main import House

T = TypeVar("T")


def in_house(work: Callable[..., Coroutine[Any, Any, T]], **given: Any) -> T:
    """Runs it in the house, on a database of this release; `kernel.command.InHouse` says how."""
    with here.database() as settings:
        return here.run(_at_work(settings, work, given), settings.database_url)


async def _at_work(settings: Settings, work: Callable[..., Coroutine[Any, Any, T]], given: dict[str, Any]) -> T:
    async with House(settings) as house:
        await here.require_current(settings.database_url, house.apps)
        wanted = {name: kind for name, kind in wants(work).items() if name not in given}
        return await work(**given, **supply(wanted, house.resources))
