"""/metrics tells the whole of a server, whichever of its processes is asked; /health tells what is true."""

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from entrepot.commands import here
from entrepot.dev.process import entrepot
from tests.conftest import TestDatabase, free_port, served, settings_for

PRODUCTS = "/api/v1/escrow/products"
DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "entrepot.json"
NAME = re.compile(r"\bentrepot_[a-z_]+")


@dataclass
class Serving:
    """A server of two processes."""

    url: str
    pid: int

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """By a connection of its own, which any of the processes may take."""
        async with aiohttp.ClientSession() as http, http.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text()

    async def metrics(self) -> dict[str, float]:
        """Every sample by name and labels."""
        status, text = await self.get("/metrics")
        assert status == 200
        families = text_string_to_metric_families(text)
        return {f"{s.name}{sorted(s.labels.items())}": s.value for each in families for s in each.samples}


@pytest.fixture
async def serving(database: TestDatabase, tmp_path: Path) -> AsyncIterator[Serving]:
    port = free_port()
    settings = settings_for(database, home=tmp_path, port=port, workers=2)
    given = {**here.environment(settings), "ENTREPOT_WORKERS": "2", "ENTREPOT_POOL_SIZE": "4"}
    async with entrepot("server", ["serve"], tmp_path / "server.log", given) as child:
        url = f"http://127.0.0.1:{port}"
        for _ in range(400):
            child.still_there()
            if await here.answers(url, "/health/ready"):
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError(child.last_words)
        yield Serving(url, child.process.pid)


async def test_every_process_tells_what_all_of_them_counted(serving: Serving) -> None:
    await asyncio.gather(*(serving.get(PRODUCTS) for _ in range(40)))
    processes = psutil.Process(serving.pid).children()
    assert len(processes) == 2
    count = f"entrepot_http_request_seconds_count{[('method', 'GET'), ('route', PRODUCTS), ('status', '200')]}"
    await asyncio.sleep(1)  # counts are handed on several times a second
    told = Counter([(await serving.metrics())[count] for _ in range(8)])
    assert told == {40.0: 8}
    os.kill(processes[0].pid, signal.SIGKILL)  # it is replaced
    await asyncio.sleep(0.2)
    for _ in range(100):
        try:
            metrics = await serving.metrics()
        except aiohttp.ClientError:
            metrics = {}
        if metrics.get(count) == 40.0 and metrics["entrepot_pool_in_use[]"] == 0:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("what the dead counted is lost")


def promql(panel: Any) -> list[str]:
    """Every expression below a panel."""
    found = [each["expr"] for each in panel.get("targets", [])]
    return found + [each for inner in panel.get("panels", []) for each in promql(inner)]


async def test_the_dashboard_names_only_metrics_that_exist(database: TestDatabase) -> None:
    async with served(settings_for(database)) as url:
        serving = Serving(url, 0)
        await serving.get(PRODUCTS)
        there = {name.partition("[")[0] for name in await serving.metrics()}
    expressions = promql(msgspec.json.decode(DASHBOARD.read_bytes()))
    named = {name for each in expressions for name in NAME.findall(each)}
    assert len(expressions) >= 10
    of_what_is_not_here = {
        *("entrepot_replica_lag_seconds", "entrepot_replica_readable"),
        "entrepot_wal_archived_seconds",
    }
    assert named - there <= of_what_is_not_here, "a replica's lag needs a replica, and an archive one that is there"


async def test_a_replica_that_is_not_read_is_shown_as_such(database: TestDatabase) -> None:
    port = free_port()
    nowhere = f"postgresql://nobody@127.0.0.1:{port}/x"
    async with served(settings_for(database, database_read_replica_url=nowhere)) as url:
        metrics = await Serving(url, 0).metrics()
    assert metrics[f"entrepot_replica_readable{[('replica', f'127.0.0.1:{port}')]}"] == 0.0


async def test_health_tells_when_the_database_is_away_and_when_it_is_back(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    name = await owner.fetchval("SELECT current_database()")
    async with served(settings_for(database, pool_timeout=1.0)) as url:
        serving = Serving(url, 0)
        assert await serving.get("/health/ready") == (200, '{"status":"ready"}')
        admin = await asyncpg.connect(database.owner_url.replace(name, "postgres"))
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert (await serving.get("/health/ready"))[0] == 503
        assert (await serving.get("/health/live"))[0] == 200
        assert (await serving.metrics())["entrepot_database_up[]"] == 0
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert (await serving.get("/health/ready"))[0] == 200
        assert (await serving.metrics())["entrepot_database_up[]"] == 1
        await admin.close()


async def test_metrics_are_for_this_machine_or_for_who_has_the_token(database: TestDatabase) -> None:
    async with served(settings_for(database)) as url:
        serving = Serving(url, 0)
        assert (await serving.get("/metrics"))[0] == 200
        assert (await serving.get("/metrics", **{"X-Forwarded-For": "8.8.8.8"}))[0] == 404
    async with served(settings_for(database, metrics_token="t0ken")) as url:
        serving = Serving(url, 0)
        assert (await serving.get("/metrics"))[0] == 404
        assert (await serving.get("/metrics", Authorization="Bearer wrong"))[0] == 404
        assert (await serving.get("/metrics", Authorization="Bearer t0ken"))[0] == 200
