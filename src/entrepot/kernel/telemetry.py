"""The spans of this process, by OpenTelemetry's SDK: requests, statements, tasks, calls to nodes; names and no values.

OpenTelemetry's own instrumentation of ASGI, asyncpg and aiohttp notes addresses, query strings and the texts of errors,
in which PostgreSQL quotes values; here a span is made of names only (docs/decisions/0014-monitoring.md). Only
`kernel/tracing.py` imports this, where the process is traced. Everything else is set by the standard variables:
OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_BSP_*, OTEL_PROPAGATORS.
"""

import atexit
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache, wraps
from importlib.metadata import version
from threading import Thread
from typing import Any

import asyncpg
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode

from entrepot.kernel.db.query import Query

PATIENCE = 2.0  # seconds that the last spans may take
HEADERS = frozenset({"traceparent", "tracestate", "baggage"})
TABLE = re.compile(r"\b(?:from|into|update|only)\s+([a-z_]+\.[a-z_0-9]+)", re.IGNORECASE)
Statement = Callable[..., Awaitable[Any]]


@cache
def constants() -> dict[str, str]:
    """The names of all statements that are constants, such as escrow.store.products.PAGE, by their text."""
    found: dict[str, str] = {}
    for name, module in sorted(sys.modules.items()):
        if name.startswith("entrepot."):
            short = name.removeprefix("entrepot.").removeprefix("apps.").removeprefix("kernel.")
            for constant, value in vars(module).items():
                if isinstance(value, Query):
                    found.setdefault(value.sql, f"{short}.{constant}")
    return found


@lru_cache(maxsize=4096)
def name_of(sql: str) -> str:
    """What a statement is called: its constant, or else its verb and its first table. Never any of its values."""
    if known := constants().get(sql):
        return known
    table = TABLE.search(sql)
    return f"{verb_of(sql)} {table[1]}" if table else verb_of(sql)


def verb_of(sql: str) -> str:
    """Its first word."""
    first = re.match(r"[\s;(]*([a-z]+)", sql, re.IGNORECASE)
    return first[1].upper() if first else "SQL"


class Life:
    """Of a request or a task. What it began and left running, such as whoever reads the outbox, is no part of it."""

    __slots__ = ("is_over",)

    def __init__(self) -> None:
        self.is_over = False


LIFE: ContextVar[Life | None] = ContextVar("LIFE", default=None)


class Asked:
    """The span of a request."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        """With that status, of which those from 500 are the server's fault."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(StatusCode.ERROR)


class Telemetry:
    """All of this process. Spans are collected, and sent by a thread of their own."""

    def __init__(self) -> None:
        named = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "entrepot"}
        resource = Resource.create({**named, SERVICE_VERSION: version("entrepot")})
        self._exporter = OTLPSpanExporter()
        self._processor = BatchSpanProcessor(self._exporter)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("entrepot", version("entrepot"))
        self.connection = connections(self)
        atexit.register(self.end)

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, attributes: Mapping[str, str | int], above: Context | None = None
    ) -> Iterator[Span]:
        """A span. Of a failure it notes the kind, and not the text."""
        with self._tracer.start_as_current_span(
            name,
            context=above,
            kind=kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(StatusCode.ERROR)
                raise

    @contextmanager
    def _life(
        self, name: str, kind: SpanKind, attributes: Mapping[str, str | int], above: Context | None
    ) -> Iterator[Span]:
        """A span that others may be below."""
        life = Life()
        before = LIFE.set(life)
        try:
            with self._span(name, kind, attributes, above) as span:
                yield span
        finally:
            life.is_over = True
            LIFE.reset(before)

    def _call(self, name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span]:
        """A span of what is asked of another, below what is going on here."""
        life = LIFE.get()
        above = Context() if life is not None and life.is_over else None
        return self._span(name, SpanKind.CLIENT, attributes, above)

    @contextmanager
    def request(self, method: str, route: str, headers: Sequence[tuple[bytes, bytes]]) -> Iterator[Asked]:
        """A span for a request, below the one that its `traceparent` names."""
        brought = {name.decode(): value.decode("latin-1") for name, value in headers if name.decode() in HEADERS}
        more = {"http.request.method": method, "http.route": route}
        with self._life(f"{method} {route}", SpanKind.SERVER, more, propagate.extract(brought)) as span:
            yield Asked(span)

    @contextmanager
    def statement(self, sql: str) -> Iterator[None]:
        """A span for a statement."""
        more = {"db.system.name": "postgresql", "db.operation.name": verb_of(sql)}
        with self._call(name_of(sql), more):
            yield

    @contextmanager
    def task(self, name: str) -> Iterator[None]:
        """A span for a run of a task."""
        with self._life(f"task {name}", SpanKind.INTERNAL, {}, Context()):
            yield

    @contextmanager
    def node(self, host: str, methods: Sequence[str]) -> Iterator[None]:
        """A span for an exchange with a chain's node, by its host: what is in the path of its address is secret."""
        name = methods[0] if len(set(methods)) == 1 else "batch"
        more: dict[str, str | int] = {
            "rpc.system": "jsonrpc",
            "rpc.method": name,
            "server.address": host,
            "rpc.requests": len(methods),
        }
        with self._call(name, more):
            yield

    def end(self) -> None:
        """Sends what is left; a receiver that does not answer is waited for two seconds."""
        sending = Thread(target=self._processor.shutdown, daemon=True)
        sending.start()
        sending.join(PATIENCE)
        if sending.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


def connections(telemetry: Telemetry) -> type[asyncpg.Connection]:
    """The class of connections that make a span of each statement."""

    def traced(run: Statement, name: Callable[[str], str] = str) -> Statement:
        @wraps(run)
        async def inside(connection: asyncpg.Connection, what: str, *given: Any, **more: Any) -> Any:
            with telemetry.statement(name(what)):
                return await run(connection, what, *given, **more)

        return inside

    plain = asyncpg.Connection
    methods = ("execute", "executemany", "fetch", "fetchrow", "fetchval")
    members = {each: traced(getattr(plain, each)) for each in methods}
    members["copy_records_to_table"] = traced(plain.copy_records_to_table, "COPY {}".format)
    made: type[asyncpg.Connection] = type("TracedConnection", (plain,), {"__slots__": (), **members})
    return made
