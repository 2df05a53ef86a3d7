"""Evaluation: once a minute one worker measures, opens and ends incidents, and then tells who is to be told."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.monitor import looks, store
from entrepot.kernel.monitor.delivery import deliver, targets
from entrepot.kernel.monitor.measures import MEASURES, Look, Measure, faults_of, heads_of
from entrepot.kernel.monitor.model import Metric, Reading
from entrepot.kernel.monitor.rules import Rule, rules_of
from entrepot.kernel.monitor.statements import SLOW, Latency, Statements
from entrepot.kernel.monitor.wal import BEHIND, OURS
from entrepot.kernel.settings import Settings

LOG = logging.getLogger("entrepot.monitor")
PATIENCE = 20.0  # seconds that one measure may take
SERVICE = "database"


async def evaluate(database: Database, settings: Settings, apps: Apps, chains: Chains, statements: Statements) -> None:
    """One look at everything."""
    rules, now = rules_of(settings), clock.now()
    async with database.read() as db:
        latency = await statements.latency(db)
    heads, faults = await asyncio.gather(heads_of(chains), faults_of(database, settings))
    look = Look(database, settings, apps, heads, latency, now, faults)
    found = {rule.name: await _measure(rule.name, MEASURES[rule.name], look) for rule in rules}
    async with database.write() as db:
        await judge(db, settings, rules, found, now)
    await deliver(database, settings)
    await record(database, latency, found["wal"] or [], now)


async def _measure(name: str, measure: Measure, look: Look) -> list[Reading] | None:
    """None where it cannot be told."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await measure(look)
    except Exception:  # whatever it is, the other rules are looked at
        LOG.exception("%s cannot be measured", name)
        return None


async def judge(
    db: Write,
    settings: Settings,
    rules: Sequence[Rule],
    found: Mapping[str, list[Reading] | None],
    now: datetime,
) -> None:
    """Opens what is wrong, fires what has lasted, ends what is over. What cannot be told stays as it was."""
    was_open = await store.open_incidents(db)
    for rule in rules:
        readings = found[rule.name]
        if readings is None:
            continue
        unknown = {each.subject for each in readings if each.value is None}
        wrong = {each.subject: each for each in readings if each.value is not None and each.value > rule.threshold}
        for reading in wrong.values():
            incident = await store.see(db, rule.name, reading, rule.threshold, now)
            if (now - incident.began_at).total_seconds() >= rule.hold and await store.fire(db, incident, now):
                for channel, _, key in targets(settings, rule.tell):
                    await store.tell(db, incident.id, "fired", channel, key)
        for incident in was_open:
            if incident.rule != rule.name or incident.subject in wrong.keys() | unknown:
                continue
            if await store.resolve(db, incident, now):
                for channel, _, key in targets(settings, rule.tell):
                    await store.tell(db, incident.id, "resolved", channel, key)
            else:
                await store.forget(db, incident)


async def record(database: Database, latency: Latency | None, wal: Sequence[Reading], now: datetime) -> None:
    """Writes what was measured of the database itself."""
    async with database.read() as db:
        state, sessions = await looks.database(db), await looks.activity(db)
    found: list[tuple[str, float, str]] = [
        ("size", float(state["size"]), "bytes"),
        ("transactions", float(state["transactions"]), "count"),
        ("deadlocks", float(state["deadlocks"]), "count"),
        ("connections", float(len(sessions)), "count"),
        ("longest_transaction", max((each["transaction_seconds"] or 0.0 for each in sessions), default=0.0), "s"),
        ("lock_waits", float(sum(each["waiting_seconds"] is not None for each in sessions)), "count"),
    ]
    found += [(BEHIND, each.value, "s") for each in wal if each.subject == OURS and each.value is not None]
    if latency is not None:
        found += [(f"latency_p{share}", latency.quantile(share / 100), "ms") for share in (50, 95, 99)]
        found += [
            ("slow_share", 100 * latency.share_above(SLOW), "percent"),
            ("statements", float(latency.calls), "count"),
        ]
    async with database.write() as db:
        await store.add_metrics(db, [Metric(SERVICE, name, value, unit, now, {}) for name, value, unit in found])
