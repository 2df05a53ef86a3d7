"""What the alert rules look at: a function for each rule, which answers with what it measured."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from entrepot.kernel.app import Apps
from entrepot.kernel.chain.chains import Chain, Chains
from entrepot.kernel.chain.endpoint import ChainFailure
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.db.replica import fault
from entrepot.kernel.monitor import looks, store
from entrepot.kernel.monitor import wal as archives_of_wal
from entrepot.kernel.monitor.model import Reading
from entrepot.kernel.monitor.statements import SLOW, Latency
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.backup import work as backups
from entrepot.kernel.work.cron import next_tick

CURSOR = "event_sync_cursor"
RETENTION = "core.retention"
HEAD_PATIENCE = 18.0  # seconds for a chain to answer, of whose endpoints the first may be silent for its own ten
REPLICA_PATIENCE = 5.0  # seconds for a replica to say how it is
FRESH = timedelta(minutes=3)  # a process that reported before that is thought to be gone
LAST_RUNS = Query("""
    SELECT DISTINCT ON (task) task, error FROM core.cron_ticks
    WHERE finished_at IS NOT NULL ORDER BY task, tick DESC
""")
WAITING = Query("""
    SELECT 'core.chain_transactions' AS queue, extract(epoch FROM now() - min(created_at))::float8 AS age
    FROM core.chain_transactions WHERE state = 'open'
    UNION ALL SELECT 'core.notices', extract(epoch FROM now() - min(created_at))::float8
    FROM core.notices WHERE next_at IS NOT NULL
    UNION ALL SELECT 'core.archives', extract(epoch FROM now() - min(started_at))::float8
    FROM core.archives WHERE state = 'removing'
""")


BEGUN = Query("SELECT task, max(tick) AS tick FROM core.cron_ticks GROUP BY task")


@dataclass(frozen=True)
class Look:
    """What a measure may look at. `latency` is of the statements called since the last look, if it is known."""

    database: Database
    settings: Settings
    apps: Apps
    heads: Mapping[str, int | None]
    """Of each chain its newest block; None where it does not answer."""
    latency: Latency | None
    now: datetime
    faults: Mapping[str, str]
    """Of each replica that reads are sent to, what keeps it from being read; empty where nothing does."""


Measure = Callable[[Look], Awaitable[list[Reading] | None]]
"""None: it cannot be told now, so that what is open stays as it is."""


async def pool(look: Look) -> list[Reading]:
    """Of each process, as it reported."""
    async with look.database.read() as db:
        metrics = await store.latest(db, look.now, FRESH)
    found = []
    for each in metrics:
        if each.metric_type == "pool_use":
            more = each.metric_metadata or {}
            told = f"{each.metric_value:.0f} % of the connections are in use"
            found.append(
                Reading(f"{each.service_name} {more.get('pid')} on {more.get('host')}", each.metric_value / 100, told)
            )
    return found


async def latency(look: Look) -> list[Reading] | None:
    """The p95 of all statements."""
    if look.latency is None:
        return None
    value = look.latency.quantile(0.95)
    return [Reading("", value, f"95 % of {look.latency.calls} statements ended within {value:.0f} ms")]


async def slow(look: Look) -> list[Reading] | None:
    """The share of slow statements."""
    if look.latency is None:
        return None
    share = look.latency.share_above(SLOW)
    return [Reading("", share, f"{100 * share:.1f} % of {look.latency.calls} statements took over {SLOW:.0f} ms")]


async def transaction(look: Look) -> list[Reading]:
    """The oldest transaction."""
    async with look.database.read() as db:
        sessions = await looks.activity(db)
    return [
        Reading("", each["transaction_seconds"], f"process {each['pid']} of {each['role']} is {each['state']}")
        for each in sorted(sessions, key=lambda each: each["transaction_seconds"] or 0.0)[-1:]
        if each["transaction_seconds"] is not None
    ]


async def lock(look: Look) -> list[Reading]:
    """The longest wait for a lock."""
    async with look.database.read() as db:
        sessions = await looks.activity(db)
    waits = [each for each in sessions if each["waiting_seconds"] is not None]
    return [
        Reading("", each["waiting_seconds"], f"process {each['pid']} waits for {sorted(each['blocked_by'])}")
        for each in sorted(waits, key=lambda each: each["waiting_seconds"])[-1:]
    ]


async def lag(look: Look) -> list[Reading]:
    """Of each replica that is connected. Which one is missing the primary cannot know: its lag is not over by that."""
    async with look.database.read() as db:
        replicas, fired = await looks.replicas(db), await store.fired(db)
    found = [
        Reading(each.name, each.lag_seconds or 0.0, f"{each.state}, {each.behind_bytes} octets behind")
        for each in replicas
    ]
    if any(look.faults.values()):
        missing = {each.subject for each in fired if each.rule == "lag"} - {each.name for each in replicas}
        found += [Reading(each, None, "not connected") for each in missing]
    return found


async def faults_of(database: Database, settings: Settings) -> dict[str, str]:
    """What keeps each replica from being read; all are asked at once, so that none hides another."""
    primary, replicas = settings.database_direct_url or settings.database_url, database.replicas.all
    faults = await asyncio.gather(*(_fault(each.url, primary) for each in replicas))
    return {each.name: why for each, why in zip(replicas, faults, strict=True)}


async def _fault(url: str, primary: str) -> str:
    try:
        async with asyncio.timeout(REPLICA_PATIENCE):
            return await fault(url, primary)
    except TimeoutError:
        return f"does not answer within {REPLICA_PATIENCE:.0f} s"


async def replica(look: Look) -> list[Reading]:
    """Of each replica that reads are sent to. One that is far behind is there, and has its lag."""
    return [Reading(name, float(bool(why)), why or "follows") for name, why in look.faults.items()]


async def backup(look: Look) -> list[Reading]:
    """What is wrong with the proofs, where backups are made."""
    if not look.settings.backup_url:
        return []
    faults = await backups.alarms(look.settings, look.database)
    return [Reading("", float(len(faults)), "; ".join(faults) or "proven")]


async def wal(look: Look) -> list[Reading]:
    """Of each archive of the WAL."""
    return await archives_of_wal.behind(look.database, look.settings)


async def _last_runs(look: Look) -> dict[str, str | None]:
    async with look.database.read() as db:
        return {row["task"]: row["error"] for row in await db.rows(LAST_RUNS)}


async def archive(look: Look) -> list[Reading]:
    """The last run of retention."""
    runs = await _last_runs(look)
    error = runs.get(RETENTION)
    return [Reading("", float(error is not None), error or "well")] if RETENTION in runs else []


async def task(look: Look) -> list[Reading]:
    """The last run of every other task."""
    known = {each.name for app in look.apps for each in app.tasks} - {RETENTION}
    runs = {name: error for name, error in (await _last_runs(look)).items() if name in known}
    return [Reading(name, float(error is not None), error or "well") for name, error in runs.items()]


async def cursors(db: Read, apps: Apps) -> dict[tuple[str, str], int]:
    """How far each contract is read, by chain and lower-case address, from every app that keeps such a cursor."""
    found: dict[tuple[str, str], int] = {}
    for app in apps:
        if CURSOR in app.retention:  # which names every table
            query = Query(f"SELECT chain::text, lower(contract) AS contract, last_block FROM {app.name}.{CURSOR}")
            for chain, contract, block in await db.rows(query):
                found[chain, contract] = block
    return found


async def heads_of(chains: Chains) -> dict[str, int | None]:
    """The newest block of each, None where it does not answer: all are asked at once, so that none hides another."""
    found = await asyncio.gather(*(_head(each) for each in chains.all.values()))
    return dict(zip(chains.all, found, strict=True))


async def _head(chain: Chain) -> int | None:
    try:
        async with asyncio.timeout(HEAD_PATIENCE):
            return await chain.rpc.head()
    except (ChainFailure, ValueError, TimeoutError):
        return None


async def mirror(look: Look) -> list[Reading]:
    """Of each contract; of a chain that does not answer, nothing can be told."""
    async with look.database.read() as db:
        read = await cursors(db, look.apps)
    found = []
    for (name, contract), block in read.items():
        head = look.heads.get(name)
        behind = None if head is None else float(max(0, head - block))
        found.append(Reading(f"{name} {contract}", behind, f"read up to block {block} of {head}"))
    return found


async def chain(look: Look) -> list[Reading]:
    """Of each chain."""
    return [
        Reading(name, float(head is None), "does not answer" if head is None else f"answers, at block {head}")
        for name, head in look.heads.items()
    ]


async def queue(look: Look) -> list[Reading]:
    """Of each queue, its oldest thing; of each task, the tick that no worker has begun."""
    async with look.database.read() as db:
        ages = {name: age or 0.0 for name, age in await db.rows(WAITING)}
        begun = {row["task"]: row["tick"] for row in await db.rows(BEGUN)}
    for task in (task for app in look.apps for task in app.tasks):
        if task.name in begun:
            waits = look.now - next_tick(task.cron, begun[task.name])
            ages[f"task {task.name}"] = max(0.0, waits.total_seconds())
    return [Reading(name, age, f"the oldest waits for {age:.0f} s") for name, age in ages.items()]


async def partition(look: Look) -> list[Reading]:
    """Of each table that is partitioned."""
    async with look.database.read() as db:
        late = await partitions.late(db, look.apps, look.now)
    return [Reading(each, 1.0, f"the partition {each} is not there") for each in late]


MEASURES: Mapping[str, Measure] = {
    each.__name__: each
    for each in (
        pool,
        latency,
        slow,
        transaction,
        lock,
        lag,
        replica,
        backup,
        wal,
        archive,
        task,
        mirror,
        chain,
        queue,
        partition,
    )
}
