"""Whether this process is traced: where OpenTelemetry's variables ask for it; else nothing of it is imported."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

import asyncpg

from entrepot.kernel.settings import BadSettings

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"
PACKAGE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class RequestSpan(Protocol):
    """A request that is being answered."""

    def answered(self, status: int) -> None:
        """It was, with that status."""
        ...


class Tracing(Protocol):
    """What the doors of the house are given, where this process is traced."""

    connection: type[asyncpg.Connection]
    """A connection of which each statement is a span."""

    def request(
        self, method: str, route: str, headers: Sequence[tuple[bytes, bytes]]
    ) -> AbstractContextManager[RequestSpan]:
        """A span for a request, below the one that its `traceparent` names."""
        ...

    def task(self, name: str) -> AbstractContextManager[None]:
        """A span for a run of a task."""
        ...

    def node(self, host: str, methods: Sequence[str]) -> AbstractContextManager[None]:
        """A span for an exchange with a chain's node."""
        ...

    def end(self) -> None:
        """Sends what is left, in two seconds at most."""
        ...


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the standard variables ask for traces.

    Raises `BadSettings` where they ask for another protocol, or OpenTelemetry is not installed.
    """
    if not any(environment.get(each) for each in ENDPOINTS) or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    for name in PROTOCOLS:
        if (asked := environment.get(name)) is not None:
            if asked != SPOKEN:
                raise BadSettings(f"{name}: {SPOKEN} is spoken here, and not {asked!r}")
            break
    try:
        find_spec(PACKAGE)
    except ModuleNotFoundError as missing:
        raise BadSettings(f"{ENDPOINTS[0]}: {missing}; pip install 'entrepot[traces]'") from None
    return True


@cache
def tracing() -> Tracing | None:
    """This process's, or None. Raises `BadSettings` as `is_wanted` does."""
    if not is_wanted():
        return None
    made: Tracing = import_module("entrepot.kernel.telemetry").Telemetry()
    return made


def connection_class() -> type[asyncpg.Connection]:
    """What a pool's connections are."""
    traced = tracing()
    return asyncpg.Connection if traced is None else traced.connection


def task(name: str) -> AbstractContextManager[None]:
    """Around a run of a task."""
    traced = tracing()
    return nullcontext() if traced is None else traced.task(name)


def node(host: str, methods: Sequence[str]) -> AbstractContextManager[None]:
    """Around an exchange with a chain's node."""
    traced = tracing()
    return nullcontext() if traced is None else traced.node(host, methods)


@asynccontextmanager
async def whole() -> AsyncIterator[None]:
    """Around a server process's life: it is ended in a way that runs nothing at the exit."""
    traced = tracing()
    try:
        yield
    finally:
        if traced is not None:
            await asyncio.to_thread(traced.end)
