"""The nouns of monitoring."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Reading(msgspec.Struct, frozen=True):
    """What was measured of one thing. `subject` is empty where a rule holds of one thing only."""

    subject: str
    value: float | None
    """None: it cannot be told now, so that an incident that is open stays as it is."""
    told: str
    """In words, for whoever is told."""


class Metric(msgspec.Struct, frozen=True):
    """One row of core.system_metrics."""

    service_name: str
    metric_type: str
    metric_value: float
    unit: str
    timestamp: datetime
    metric_metadata: dict[str, Any] | None = None


class Incident(msgspec.Struct, frozen=True):
    """What a rule found, and until when."""

    id: UUID
    rule: str
    subject: str
    value: float
    threshold: float
    told: str
    began_at: datetime
    fired_at: datetime | None
    resolved_at: datetime | None


class Notice(msgspec.Struct, frozen=True):
    """Somebody who is to be told of an incident."""

    id: UUID
    event: str
    channel: str
    target: bytes
    attempts: int
    incident: Incident


class PoolUse(msgspec.Struct, frozen=True):
    """The pool of one process. Waits are of the last minute, in milliseconds, over every connection that was lent."""

    process: str
    size: int
    in_use: int
    waiting: int
    use: float
    """The mean share of the last minute, from 0 to 1."""
    wait_p50: float
    wait_p95: float
    wait_p99: float


class Pools(msgspec.Struct, frozen=True):
    """Every process's pool, as it was in the last minute; the process that answers as it is now."""

    size: int
    in_use: int
    waiting: int
    items: list[PoolUse]


class SlowStatement(msgspec.Struct, frozen=True):
    """A statement that took over 200 ms. Times are milliseconds, since the counters were reset."""

    query: str
    calls: int
    mean: float
    longest: float
    total: float
    rows: int
    plan: list[str]
    """As for any values (EXPLAIN of the generic plan); empty where it cannot be made."""


class Queries(msgspec.Struct, frozen=True):
    """Latency in the database, in milliseconds, estimated from each statement's mean and deviation."""

    p50: float | None
    p95: float | None
    p99: float | None
    slow_share: float | None
    """The share of calls that took over 200 ms, from 0 to 1."""
    transactions: int
    longest_transaction: float
    """Seconds."""
    lock_waits: int
    slow: list[SlowStatement]


class IndexAdvice(msgspec.Struct, frozen=True):
    """One thing to do about an index. `advice` is invalid, missing, duplicate or unused."""

    advice: str
    table: str
    name: str
    size: int
    why: str
    mend: str


class Indexes(msgspec.Struct, frozen=True):
    """What to do about indexes, the gravest first."""

    items: list[IndexAdvice]


class TableState(msgspec.Struct, frozen=True):
    """A table. Sizes are octets; a partitioned table's are its partitions' together."""

    table: str
    rows: int
    dead_rows: int
    dead_share: float
    size: int
    index_size: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None
    changed_since_analyze: int


class Tables(msgspec.Struct, frozen=True):
    """Every table of the house, the largest first, and the whole database's size."""

    database_size: int
    items: list[TableState]


class Replica(msgspec.Struct, frozen=True):
    """A server that follows this one. Lag is in seconds; None while nothing is written."""

    name: str
    state: str
    sync_state: str
    behind_bytes: int | None
    lag_seconds: float | None


class Replication(msgspec.Struct, frozen=True):
    """Every server that follows this one."""

    items: list[Replica]


class Alert(msgspec.Struct, frozen=True):
    """A rule, and what it holds of now."""

    rule: str
    what: str
    threshold: float
    hold: float
    tell: list[str]
    open: list[Incident]


class Alerts(msgspec.Struct, frozen=True):
    """Every rule."""

    items: list[Alert]
