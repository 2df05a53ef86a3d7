"""SQL of measurements and incidents: one statement a function."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import Record

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.monitor.model import Incident, Metric, Notice, Reading
from entrepot.kernel.values import new_id

ADD_METRICS = Query("""
    INSERT INTO core.system_metrics (id, service_name, metric_type, metric_value, unit, timestamp, metric_metadata)
    SELECT v.id, v.service, v.type, v.value, v.unit, v.at, v.more::jsonb
    FROM unnest(:ids::uuid[], :services::text[], :types::text[], :values::float8[], :units::text[],
        :ats::timestamptz[], :mores::text[]) AS v(id, service, type, value, unit, at, more)
""")
LATEST = Query("""
    SELECT DISTINCT ON (service_name, metric_metadata ->> 'host', metric_metadata ->> 'pid', metric_type)
        service_name, metric_type, metric_value, unit, timestamp, metric_metadata::text AS more
    FROM core.system_metrics WHERE timestamp > :since
    ORDER BY service_name, metric_metadata ->> 'host', metric_metadata ->> 'pid', metric_type, timestamp DESC
""")
NEWEST = Query("""
    SELECT service_name, metric_type, metric_value, unit, timestamp, metric_metadata::text AS more
    FROM core.system_metrics WHERE metric_type = :kind ORDER BY timestamp DESC LIMIT 1
""")
OURS = "id, rule, subject, value, threshold, told, began_at, fired_at, resolved_at"
SEE = Query(f"""
    INSERT INTO core.incidents (id, rule, subject, value, threshold, told, began_at)
    VALUES (:id, :rule, :subject, :value, :threshold, :told, :now)
    ON CONFLICT (rule, subject) WHERE resolved_at IS NULL
    DO UPDATE SET value = excluded.value, threshold = excluded.threshold, told = excluded.told
    RETURNING {OURS}
""")
FIRE = Query("UPDATE core.incidents SET fired_at = :now WHERE id = :id AND fired_at IS NULL")
RESOLVE = Query("""
    UPDATE core.incidents SET resolved_at = :now WHERE id = :id AND fired_at IS NOT NULL AND resolved_at IS NULL
""")
FORGET = Query("DELETE FROM core.incidents WHERE id = :id AND fired_at IS NULL")
OPEN = Query(f"SELECT {OURS} FROM core.incidents WHERE resolved_at IS NULL ORDER BY rule, subject FOR UPDATE")
FIRED = Query(f"""
    SELECT {OURS} FROM core.incidents WHERE resolved_at IS NULL AND fired_at IS NOT NULL ORDER BY fired_at
""")
TELL = Query("""
    INSERT INTO core.notices (id, incident, event, channel, target)
    VALUES (:id, :incident, :event, :channel, :target) ON CONFLICT DO NOTHING
""")
CLAIM = Query("""
    UPDATE core.notices SET attempts = attempts + 1,
        next_at = now() + least(interval '1 minute' * 2 ^ least(attempts, 10), interval '1 hour')
    WHERE id = (
        SELECT id FROM core.notices n WHERE next_at <= now() AND target <> ALL(:without::bytea[]) AND NOT EXISTS (
            SELECT FROM core.notices first WHERE n.event = 'resolved' AND first.event = 'fired'
                AND (first.incident, first.channel, first.target) = (n.incident, n.channel, n.target)
                AND first.next_at IS NOT NULL
        ) ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, incident, event, channel, target, attempts
""")
INCIDENT = Query(f"SELECT {OURS} FROM core.incidents WHERE id = :id")
SENT = Query("UPDATE core.notices SET sent_at = now(), next_at = NULL WHERE id = :id")
FAILED = Query("""
    UPDATE core.notices SET error = :error, next_at = CASE WHEN :is_over THEN NULL ELSE next_at END WHERE id = :id
""")


async def add_metrics(db: Write, metrics: Sequence[Metric]) -> None:
    """All of them in one statement."""
    await db.run(
        ADD_METRICS,
        ids=[new_id() for _ in metrics],
        services=[each.service_name for each in metrics],
        types=[each.metric_type for each in metrics],
        values=[each.metric_value for each in metrics],
        units=[each.unit for each in metrics],
        ats=[each.timestamp for each in metrics],
        mores=[msgspec.json.encode(each.metric_metadata).decode() for each in metrics],
    )


async def latest(db: Read, now: datetime, within: timedelta) -> list[Metric]:
    """The last value of every type of every process that reported within that time."""
    rows = await db.rows(LATEST, since=now - within)
    return [_metric(row) for row in rows]


async def newest(db: Read, kind: str) -> Metric | None:
    """The last value of that type, however old."""
    rows = await db.rows(NEWEST, kind=kind)
    return _metric(rows[0]) if rows else None


def _metric(row: Record) -> Metric:
    service, kind, value, unit, at, more = row.values()
    return Metric(service, kind, value, unit, at, msgspec.json.decode(more))


async def open_incidents(db: Write) -> list[Incident]:
    """Those that are not resolved, locked."""
    return await db.all(Incident, OPEN)


async def fired(db: Read) -> list[Incident]:
    """Those that somebody was told of, and that last."""
    return await db.all(Incident, FIRED)


async def see(db: Write, rule: str, reading: Reading, threshold: float, now: datetime) -> Incident:
    """Notes what is wrong: a new incident, or the one that lasts."""
    return await db.one(
        Incident,
        SEE,
        id=new_id(),
        rule=rule,
        subject=reading.subject,
        value=reading.value,
        threshold=threshold,
        told=reading.told,
        now=now,
    )


async def fire(db: Write, incident: Incident, now: datetime) -> bool:
    """It has lasted long enough; False where somebody was told before."""
    return await db.run(FIRE, id=incident.id, now=now) == 1


async def resolve(db: Write, incident: Incident, now: datetime) -> bool:
    """It is over; False where nobody was told that it began."""
    return await db.run(RESOLVE, id=incident.id, now=now) == 1


async def forget(db: Write, incident: Incident) -> None:
    """It was over before anybody was told."""
    await db.run(FORGET, id=incident.id)


async def tell(db: Write, incident: UUID, event: str, channel: str, target: bytes) -> None:
    """Notes that somebody is to be told; once for an incident and an event."""
    await db.run(TELL, id=new_id(), incident=incident, event=event, channel=channel, target=target)


async def claim(db: Write, without: Collection[bytes]) -> Record | None:
    """A notice that is due, which nobody else tries for a while; the more attempts, the longer. None to those targets.

    That of an end waits for that of its beginning, so that whoever takes them late does not take it for the last word.
    """
    rows = await db.rows(CLAIM, without=list(without))
    return rows[0] if rows else None


async def notice_of(db: Read, row: Record) -> Notice:
    """The notice with its incident."""
    incident = await db.one(Incident, INCIDENT, id=row["incident"])
    return Notice(row["id"], row["event"], row["channel"], row["target"], row["attempts"], incident)


async def sent(db: Write, notice: Notice) -> None:
    """It was taken."""
    await db.run(SENT, id=notice.id)


async def failed(db: Write, notice: Notice, error: str, *, is_over: bool) -> None:
    """It was not; where `is_over`, it is not tried again."""
    await db.run(FAILED, id=notice.id, error=error, is_over=is_over)
