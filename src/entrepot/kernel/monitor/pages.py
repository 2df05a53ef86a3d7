"""The pages that machines read: /metrics for Prometheus, /health/live and /health/ready for who starts and stops us."""

import asyncio
import hmac
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from asyncpg import Record
from litestar import Request, Response, get
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from entrepot.kernel.app import Apps
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.pool import GONE
from entrepot.kernel.db.query import Query
from entrepot.kernel.db.replica import UP
from entrepot.kernel.meters import TOGETHER, meters
from entrepot.kernel.monitor import looks, store, wal
from entrepot.kernel.monitor.model import Incident, Replica, TableState
from entrepot.kernel.monitor.rules import rules_of
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.settings import Settings

ONE = Query("SELECT 1")
PATIENCE = 2.0
HERE = ("127.0.0.1", "::1")
EVALUATED = Query("SELECT max(finished_at) FROM core.cron_ticks WHERE task = 'core.monitor' AND error IS NULL")


class DatabaseMetrics(Collector):
    """What the database said just now, in Prometheus's form. The same whichever server process is asked."""

    def __init__(self, *, is_up: bool) -> None:
        self.families: list[Metric] = []
        self._gauge("entrepot_database_up", "Whether the database answers.", [((), float(is_up))])

    def _gauge(self, name: str, what: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> None:
        family = GaugeMetricFamily(name, what, labels=labels)
        for of, value in values:
            family.add_metric(of, value)
        self.families.append(family)

    def add_state(self, state: Record, sessions: list[Record], evaluated: float) -> None:
        """The database as a whole."""
        for name, what, column in (
            ("transactions", "Transactions that ended.", "transactions"),
            ("deadlocks", "Deadlocks.", "deadlocks"),
            ("blocks_hit", "Blocks that were found in memory.", "blks_hit"),
            ("blocks_read", "Blocks that were read.", "blks_read"),
            ("temporary_bytes", "Octets written to temporary files.", "temp_bytes"),
        ):
            self.families.append(CounterMetricFamily(f"entrepot_database_{name}", what, value=float(state[column])))
        longest = max((each["transaction_seconds"] or 0.0 for each in sessions), default=0.0)
        waits = sum(each["waiting_seconds"] is not None for each in sessions)
        self._gauge("entrepot_database_size_bytes", "Size of the database.", [((), float(state["size"]))])
        self._gauge("entrepot_database_connections", "Sessions.", [((), float(len(sessions)))])
        self._gauge("entrepot_database_longest_transaction_seconds", "Age of the oldest.", [((), longest)])
        self._gauge("entrepot_database_lock_waits", "Sessions that wait for a lock.", [((), float(waits))])
        self._gauge("entrepot_monitor_evaluated_seconds", "Unix time of the last evaluation.", [((), evaluated)])

    def add_tables(self, tables: list[TableState]) -> None:
        """Each table."""
        sizes = [((each.table,), float(each.size)) for each in tables]
        dead = [((each.table,), float(each.dead_rows)) for each in tables]
        self._gauge("entrepot_table_size_bytes", "Size with indexes.", sizes, "table")
        self._gauge("entrepot_table_dead_rows", "Rows that VACUUM would remove.", dead, "table")

    def add_replicas(self, replicas: list[Replica], read: Mapping[str, bool]) -> None:
        """Each replica: those that follow, and those that reads are to go to."""
        lags = [((each.name,), each.lag_seconds or 0.0) for each in replicas]
        states = [((name,), float(is_read)) for name, is_read in read.items()]
        self._gauge("entrepot_replica_readable", "Whether this process sends reads to it.", states, "replica")
        self._gauge("entrepot_replica_lag_seconds", "How far a replica is behind.", lags, "replica")

    def add_wal(self, reached: Mapping[str, datetime]) -> None:
        """Each archive of the WAL."""
        values = [((name,), moment.timestamp()) for name, moment in reached.items()]
        self._gauge("entrepot_wal_archived_seconds", "Unix time up to which the WAL is archived.", values, "archive")

    def add_alerts(self, names: Iterable[str], incidents: list[Incident]) -> None:
        """Each rule."""
        firing = [((name,), float(sum(each.rule == name for each in incidents))) for name in names]
        self._gauge("entrepot_alert_firing", "Incidents that last.", firing, "rule")

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        yield from self.families


async def of_database(database: Database, settings: Settings, apps: Apps) -> DatabaseMetrics:
    """Looks at the database; where it does not answer in time, that is what is told."""
    try:
        async with asyncio.timeout(PATIENCE), database.read() as db:
            made = DatabaseMetrics(is_up=True)
            evaluated = await db.value(EVALUATED)
            made.add_state(
                await looks.database(db), await looks.activity(db), evaluated.timestamp() if evaluated else 0.0
            )
            made.add_tables(await looks.tables(db, [app.name for app in apps]))
            made.add_replicas(await looks.replicas(db), {each.name: each.state == UP for each in database.replicas.all})
            made.add_wal(await wal.reached(db, settings))
            made.add_alerts([rule.name for rule in rules_of(settings)], await store.fired(db))
            return made
    except (Unavailable, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, *GONE):
        return DatabaseMetrics(is_up=False)


def of_processes() -> bytes:
    """What the server processes of this machine counted, all together."""
    meters().hand_on()
    if TOGETHER not in os.environ:
        return generate_latest(REGISTRY)
    for file in Path(os.environ[TOGETHER]).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(pid):  # it was killed, and what it held at that moment is held no more
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def may_scrape(request: Request[Any, Any, Any], token: str) -> bool:
    """Whoever has the token; without one, this machine only, and nobody who came through a proxy."""
    if token:
        given = request.headers.get("authorization", "").partition(" ")[2]
        return hmac.compare_digest(given.encode(), token.encode())
    came_through = any(name in request.headers for name in ("x-forwarded-for", "forwarded", "via"))
    return request.client is not None and request.client.host in HERE and not came_through


def health_pages(database: Database, settings: Settings, apps: Apps) -> list[Any]:
    """The Litestar handlers."""

    @get("/health/live", include_in_schema=False)
    async def live() -> Response[dict[str, str]]:
        return Response({"status": "live"})

    @get("/health/ready", include_in_schema=False)
    async def ready() -> Response[dict[str, str]]:
        try:
            async with asyncio.timeout(PATIENCE), database.read() as db:
                await db.value(ONE)
        except (Unavailable, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, *GONE):
            return Response({"status": "waiting", "for": "database"}, status_code=503)
        return Response({"status": "ready"})

    @get("/metrics", include_in_schema=False)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not may_scrape(request, settings.metrics_token):
            return Response(b"", status_code=404)
        registry = CollectorRegistry()
        registry.register(await of_database(database, settings, apps))
        return Response(of_processes() + generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return [live, ready, metrics]
