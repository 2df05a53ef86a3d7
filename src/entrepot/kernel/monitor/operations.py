"""What operators may ask of the database and of the alerts."""

from datetime import timedelta

from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.db.doors import Fresh
from entrepot.kernel.monitor import looks, statements, store
from entrepot.kernel.monitor.model import (
    Alert,
    Alerts,
    Indexes,
    Metric,
    Pools,
    PoolUse,
    Queries,
    Replication,
    Tables,
)
from entrepot.kernel.monitor.reporter import SHARES, Reporter
from entrepot.kernel.monitor.rules import rules_of
from entrepot.kernel.monitor.statements import SLOW
from entrepot.kernel.settings import Settings

LAST = timedelta(minutes=2)


async def pool(db: Fresh, reporter: Reporter) -> Pools:
    """See every process's connections: how many, how many are in use, who waits and how long."""
    here = reporter.pool()
    others = _of_processes(await store.latest(db, clock.now(), LAST))
    items = [here, *(each for name, each in sorted(others.items()) if name != here.process)]
    return Pools(
        size=sum(each.size for each in items),
        in_use=sum(each.in_use for each in items),
        waiting=sum(each.waiting for each in items),
        items=items,
    )


def _of_processes(metrics: list[Metric]) -> dict[str, PoolUse]:
    """What each process reported last."""
    told: dict[str, dict[str, float]] = {}
    for each in metrics:
        more = each.metric_metadata or {}
        if "pid" in more:
            name = f"{each.service_name} {more['pid']} on {more['host']}"
            told.setdefault(name, {})[each.metric_type] = each.metric_value
    return {name: _pool_of(name, values) for name, values in told.items() if "pool_size" in values}


def _pool_of(name: str, values: dict[str, float]) -> PoolUse:
    return PoolUse(
        process=name,
        size=int(values["pool_size"]),
        in_use=int(values["pool_in_use"]),
        waiting=int(values["pool_waiting"]),
        use=values["pool_use"] / 100,
        wait_p50=values["pool_wait_p50"],
        wait_p95=values["pool_wait_p95"],
        wait_p99=values["pool_wait_p99"],
    )


async def queries(db: Fresh) -> Queries:
    """See how long statements take, and the slow ones with their plans."""
    latency, sessions = await statements.all_time(db), await looks.activity(db)
    state = await looks.database(db)
    p50, p95, p99 = [None] * 3 if latency is None else [latency.quantile(share) for share in SHARES.values()]
    return Queries(
        p50=p50,
        p95=p95,
        p99=p99,
        slow_share=None if latency is None else latency.share_above(SLOW),
        transactions=state["transactions"],
        longest_transaction=max((each["transaction_seconds"] or 0.0 for each in sessions), default=0.0),
        lock_waits=sum(each["waiting_seconds"] is not None for each in sessions),
        slow=await statements.slowest(db),
    )


async def indexes(db: Fresh, apps: Apps) -> Indexes:
    """See which indexes are invalid, missing on foreign keys, duplicate or unused, and what mends each."""
    return Indexes(await looks.advice(db, [app.name for app in apps]))


async def tables(db: Fresh, apps: Apps) -> Tables:
    """See each table's size, dead rows, and when it was vacuumed and analysed."""
    state = await looks.database(db)
    return Tables(state["size"], await looks.tables(db, [app.name for app in apps]))


async def replication(db: Fresh) -> Replication:
    """See the servers that follow this one, and how far they are behind."""
    return Replication(await looks.replicas(db))


async def alerts(db: Fresh, settings: Settings) -> Alerts:
    """See every alert rule, and the incidents that last."""
    fired = await store.fired(db)
    return Alerts(
        [
            Alert(
                rule=rule.name,
                what=rule.what,
                threshold=rule.threshold,
                hold=rule.hold,
                tell=list(rule.tell),
                open=[each for each in fired if each.rule == rule.name],
            )
            for rule in rules_of(settings)
        ]
    )
