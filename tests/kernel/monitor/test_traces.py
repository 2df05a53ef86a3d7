"""Where OpenTelemetry is configured, what happens is told to a receiver as spans; elsewhere nothing is loaded."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from entrepot.commands import here
from entrepot.dev.anvil import anvil
from entrepot.dev.process import entrepot
from entrepot.kernel.settings import ChainSettings, Settings
from entrepot.kernel.tracing import is_wanted
from tests.conftest import TestDatabase, free_port, settings_for

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
BROUGHT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
SERVER, CLIENT, FAILED = 2, 3, 2
UNKNOWN = "018f0000-0000-7000-8000-00000000cafe"


@dataclass
class Span:
    """A span as it arrived, with what it says of itself as plain values."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    status: int
    service: str
    more: dict[str, Any]
    events: int


@dataclass
class Receiver:
    """An OTLP receiver."""

    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        for of in ExportTraceServiceRequest.FromString(self.bodies[-1]).resource_spans:
            service = plain(of.resource.attributes)["service.name"]
            for each in (span for scope in of.scope_spans for span in scope.spans):
                ids = (part.hex() for part in (each.trace_id, each.span_id, each.parent_span_id))
                more = plain(each.attributes)
                self.spans.append(Span(each.name, *ids, each.kind, each.status.code, service, more, len(each.events)))
        return web.Response(content_type="application/x-protobuf")

    async def wait_for(self, *names: str) -> list[Span]:
        """One span of each name, once they are here."""
        async with asyncio.timeout(20):
            while not set(names) <= {each.name for each in self.spans}:
                await asyncio.sleep(0.02)
        return [next(each for each in self.spans if each.name == name) for name in names]

    def below(self, span: Span) -> list[Span]:
        return [each for each in self.spans if each.parent == span.id]


def plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made, application, port = Receiver(), web.Application(), free_port()
    application.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    made.environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    yield made
    await runner.cleanup()


def environment(settings: Settings, more: Mapping[str, str]) -> dict[str, str]:
    return {**here.environment(settings), "ENTREPOT_VAULT_KEYS": '{"a": "' + "A" * 43 + '="}', **more}


@pytest.fixture
async def server(database: TestDatabase, receiver: Receiver, tmp_path: Path) -> AsyncIterator[str]:
    """A server process that is traced."""
    settings = settings_for(database, home=tmp_path, port=free_port())
    async with entrepot("server", ["serve"], tmp_path / "log", environment(settings, receiver.environment)) as child:
        url = f"http://127.0.0.1:{settings.port}"
        async with asyncio.timeout(20):
            while not await here.answers(url, "/health/ready"):
                child.still_there()
                await asyncio.sleep(0.05)
        yield url


async def test_a_request_is_a_span_below_its_callers_with_its_statements_below_it(
    server: str, receiver: Receiver
) -> None:
    async with aiohttp.ClientSession(server) as http:
        secret = {"Authorization": "Bearer s3cret-token"}
        async with http.get("/api/v1/escrow/products?q=s3cret-word", headers={**BROUGHT, **secret}) as answer:
            assert answer.status == 200
        async with http.get(f"/api/v1/escrow/orders/{UNKNOWN}", headers=secret) as answer:
            assert answer.status == 401
        async with http.post("/api/v1/auth/nonce", json={"wallet": "0x" + "c0ffee" * 6 + "cafe"}) as answer:
            assert answer.status in (200, 201)
    names = ("GET /api/v1/escrow/products", "GET /api/v1/escrow/orders/{id}", "POST /api/v1/auth/nonce")
    search, order, nonce = await receiver.wait_for(*names)
    assert (search.trace, search.parent, search.kind, search.service) == (TRACE, PARENT, SERVER, "entrepot")
    assert search.more == {
        "http.request.method": "GET",
        "http.route": "/api/v1/escrow/products",
        "http.response.status_code": 200,
    }
    (page,) = [each for each in receiver.below(search) if each.name == "SELECT escrow.products"]
    assert (page.trace, page.kind, page.more["db.operation.name"]) == (TRACE, CLIENT, "SELECT")
    assert order.more["http.response.status_code"] == 401
    assert (order.parent, order.trace == TRACE) == ("", False)
    assert [each.name for each in receiver.below(order)] == ["http.endpoint.SESSION"]
    assert [each.name for each in receiver.below(nonce)] == ["BEGIN", "identity.store.ADD_NONCE", "COMMIT"]
    await no_part_of_it(search, receiver)
    everything = b"".join(receiver.bodies)
    for value in (b"s3cret", UNKNOWN.encode(), b"c0ffee", b"127.0.0.1"):
        assert value not in everything


async def no_part_of_it(search: Span, receiver: Receiver) -> None:
    """What a request leaves running is not: the first answer that is kept begins to follow the outbox, for good."""
    seen = len(receiver.spans)
    async with asyncio.timeout(20):
        while not (later := [each for each in receiver.spans[seen:] if each.name == "cache.follower.LOOK"]):
            await asyncio.sleep(0.1)
    assert all((each.parent, each.trace == search.trace) == ("", False) for each in later)


async def test_a_failure_is_told_by_its_kind_and_not_by_its_text(
    server: str, receiver: Receiver, owner: asyncpg.Connection
) -> None:
    await owner.execute("DROP TABLE core.sessions")
    async with (
        aiohttp.ClientSession(server, headers={"Authorization": "Bearer me"}) as http,
        http.get("/api/v1/escrow/orders") as answer,
    ):
        assert answer.status == 500
    request, statement = await receiver.wait_for("GET /api/v1/escrow/orders", "http.endpoint.SESSION")
    assert (request.status, request.more["error.type"]) == (FAILED, "UndefinedTableError")
    assert (statement.status, statement.more["error.type"]) == (FAILED, "UndefinedTableError")
    assert request.events == statement.events == 0


async def test_a_task_is_a_span_with_its_statements_and_calls_to_nodes_below_it(
    database: TestDatabase, receiver: Receiver, tmp_path: Path
) -> None:
    async with anvil(accounts=1) as node:
        chain = ChainSettings("ethereum", 31_337, (f"{node.url}/key-of-the-provider",))
        settings = settings_for(database, home=tmp_path, chains=(chain,))
        more = {**receiver.environment, "OTEL_SERVICE_NAME": "market", "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        async with entrepot("worker", ["worker"], tmp_path / "log", environment(settings, more)):
            await ended(database, "core.monitor")
    (task,) = await receiver.wait_for("task core.monitor")  # what was not sent yet is sent at the end
    below = receiver.below(task)
    assert task.service == "market"
    (call, *_) = [each for each in below if each.name == "eth_blockNumber"]
    assert call.more["server.address"] == node.url.removeprefix("http://")
    assert {"monitor.measures.WAITING", "monitor.store.ADD_METRICS", "COMMIT"} <= {each.name for each in below}
    assert b"key-of-the-provider" not in b"".join(receiver.bodies)


async def ended(database: TestDatabase, task: str) -> None:
    """Waits until a run of that task has ended."""
    owner = await asyncpg.connect(database.owner_url)
    run = "SELECT count(*) FROM core.cron_ticks WHERE task = $1 AND finished_at IS NOT NULL"
    async with asyncio.timeout(30):
        while not await owner.fetchval(run, task):
            await asyncio.sleep(0.05)
    await owner.close()


# redis-py loads OpenTelemetry's metrics where they are installed, whatever is configured.
LOADED = """
import sys
from entrepot.kernel.db.pool import connection_class
from entrepot.web import web
web()
ours = ("entrepot.kernel.telemetry", "opentelemetry.exporter", "opentelemetry.sdk.trace")
print(connection_class().__name__, *(name for name in ours if name in sys.modules))
"""


def test_nothing_of_it_is_loaded_where_it_is_not_configured(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    given = {**bare, "ENTREPOT_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", LOADED], env=given, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["Connection"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "market"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_decide(given: dict[str, str], *, wanted: bool) -> None:
    assert is_wanted(given) == wanted


def test_another_protocol_is_refused_before_anything_is_served(database: TestDatabase, tmp_path: Path) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    given = {**os.environ, **environment(settings_for(database, home=tmp_path, port=free_port()), more)}
    command = [sys.executable, "-m", "entrepot", "serve"]
    run = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf is spoken here, and not 'grpc'" in run.stderr
