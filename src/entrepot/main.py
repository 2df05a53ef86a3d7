"""The one file that meets every app: finds them, checks them, wires them."""

import pkgutil
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from typing import Any, Self

from entrepot import apps as applications
from entrepot.kernel.app import App, Apps
from entrepot.kernel.cache.cache import Cache
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.core import CORE
from entrepot.kernel.db.database import Database
from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.http.limits import Limit
from entrepot.kernel.http.live import Live
from entrepot.kernel.http.route import Pace
from entrepot.kernel.http.stream import StreamEndpoint
from entrepot.kernel.http.traced import TracedEndpoint
from entrepot.kernel.identity.operations import SignInHooks
from entrepot.kernel.monitor.reporter import Reporter
from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.store.archives import Archives, archives_of
from entrepot.kernel.store.objects import Objects
from entrepot.kernel.store.opening import objects_of
from entrepot.kernel.tracing import tracing
from entrepot.kernel.upkeep import retention
from entrepot.kernel.vault import Vault, key_file
from entrepot.kernel.work.whispers import Whispers


class House:
    """Everything that routes and tasks may ask for, by type. Its connections are there inside `async with`.

    `chain_patience` is the seconds that a call of a chain may take; a worker has time, who sent a request has not.
    `reports_as` is what the process is, server or worker, where it is to report how it is.
    """

    def __init__(
        self, settings: Settings, *, chain_patience: float | None = None, reports_as: str | None = None
    ) -> None:
        self.settings = settings
        self.apps = find_apps(settings.apps)
        retention.check(settings, Apps(self.apps))
        self.database = Database(settings.database_url, settings)
        self.chains = Chains(settings.chains, patience=chain_patience)
        self.vault = Vault(settings.vault_key_bytes or key_file(settings.home))
        self.objects = objects_of(settings)
        self.archives = archives_of(settings)
        self.kept = {kind: kind() for app in self.apps for kind in app.keeps}
        self.whispers = Whispers(self.database)
        self.live = Live(self.database, settings, self.whispers)
        self.reports = reports_as is not None
        self.reporter = Reporter(reports_as or "command", self.database)
        self.cache = Cache(self.database, settings, (kind for app in self.apps for kind in app.caches))
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.database)
        await self._stack.enter_async_context(self.chains)
        await self._stack.enter_async_context(self.objects)
        await self._stack.enter_async_context(self.whispers)
        await self._stack.enter_async_context(self.live)
        if self.reports:
            await self._stack.enter_async_context(self.reporter)
        await self._stack.enter_async_context(self.cache)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    @property
    def resources(self) -> dict[type, object]:
        """What an operation may name as a parameter."""
        hooks = SignInHooks(tuple(app.on_sign_in for app in self.apps if app.on_sign_in is not None))
        own = {Settings: self.settings, Chains: self.chains, Database: self.database, Vault: self.vault}
        shared = {Objects: self.objects, SignInHooks: hooks, Live: self.live, Apps: Apps(self.apps)}
        ways = {Archives: self.archives, Cache: self.cache, Reporter: self.reporter, Whispers: self.whispers}
        return {**self.kept, **own, **shared, **ways}

    def endpoints(self) -> list[Endpoint]:
        """Every route of every app, checked against its operation."""
        limits = {
            Pace.READ: Limit(self.settings.reads_per_minute),
            Pace.WRITE: Limit(self.settings.writes_per_minute),
            Pace.SIGN_IN: Limit(self.settings.sign_ins_per_minute),
            Pace.MESSAGE: Limit(self.settings.messages_per_minute),
        }
        resources, traced = self.resources, tracing()
        plain = Endpoint if traced is None else partial(TracedEndpoint, traced)
        return [
            (StreamEndpoint if route.frames else plain)(route, app.url, self.database, limits, resources)
            for app in self.apps
            for route in app.routes
        ]


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
