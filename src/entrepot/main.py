"""The one file that meets every app: finds them, checks them, wires them."""

import pkgutil
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any, Self

from litestar import Litestar
from litestar.types import ASGIApp

from entrepot import apps as applications
from entrepot.kernel import settings as configuration
from entrepot.kernel.app import App
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.core import CORE
from entrepot.kernel.db.database import Database
from entrepot.kernel.http import server
from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.http.limits import Limit
from entrepot.kernel.http.openapi import document
from entrepot.kernel.http.pages import pages
from entrepot.kernel.http.route import Pace
from entrepot.kernel.identity.operations import SignInHooks
from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.vault import Vault, key_file


class House:
    """Everything that routes and tasks may ask for, by type. Its connections are there inside `async with`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.apps = find_apps(settings.apps)
        self.database = Database(settings.database_url, settings)
        self.chains = Chains(settings.chains)
        self.vault = Vault(settings.vault_key_bytes or key_file(settings.home))
        self.kept = {kind: kind() for app in self.apps for kind in app.keeps}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.database)
        await self._stack.enter_async_context(self.chains)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    @property
    def resources(self) -> dict[type, object]:
        """What an operation may name as a parameter."""
        hooks = SignInHooks(tuple(app.on_sign_in for app in self.apps if app.on_sign_in is not None))
        own = {Settings: self.settings, Chains: self.chains, Database: self.database, Vault: self.vault}
        return {**self.kept, **own, SignInHooks: hooks}

    def endpoints(self) -> list[Endpoint]:
        """Every route of every app, checked against its operation."""
        limits = {
            Pace.READ: Limit(self.settings.reads_per_minute),
            Pace.WRITE: Limit(self.settings.writes_per_minute),
            Pace.SIGN_IN: Limit(self.settings.sign_ins_per_minute),
        }
        resources = self.resources
        return [Endpoint(route, app.url, self.database, limits, resources) for app in self.apps for route in app.routes]


def find_apps(wanted: Iterable[str] = ()) -> tuple[App, ...]:
    """The kernel's own declaration and every application below `entrepot.apps`, or those wanted, by name."""
    found: dict[str, App] = {}
    for module in pkgutil.iter_modules(applications.__path__):
        app: Any = import_module(f"entrepot.apps.{module.name}.app").APP
        if app.name != module.name:
            raise BadSettings(f"the app in apps/{module.name} calls itself {app.name!r}")
        found[app.name] = app
    names = tuple(wanted) or tuple(found)
    if unknown := [name for name in names if name not in found]:
        raise BadSettings(f"ENTREPOT_APPS: there is no app {unknown[0]!r} (there are: {', '.join(found)})")
    return (CORE, *(found[name] for name in names))


def web(settings: Settings | None = None) -> ASGIApp:
    """The ASGI application, made in the server's worker process; its settings come from the environment."""
    house = House(settings or configuration.load())

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with house:
            yield

    endpoints = house.endpoints()
    described = document(endpoints, "Entrepôt", version("entrepot"))
    return server.build(endpoints, house.settings, pages(described), [lifespan])
