"""Partitions: made ahead of need, so that no row ever finds none."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from entrepot.kernel import clock
from entrepot.kernel.app import App, Apps, Partitioned, Period
from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query

OF = Query("SELECT name, lower, upper FROM core.partitions_of(:table)")
ADD = Query("SELECT core.add_partition(:schema, :parent, :name, :lower, :upper)")
EARLIER = timedelta(days=1)  # for rows that come late, or from a clock that is behind


class Partition(NamedTuple):
    """A partition, with its bounds: from the first up to and without the second."""

    name: str
    lower: datetime
    upper: datetime


def begin(period: Period, at: datetime) -> datetime:
    """When the period began that this moment lies in. UTC."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)
        case Period.YEAR:
            return day.replace(month=1, day=1)


def end(period: Period, at: datetime) -> datetime:
    """When the period ends that this moment lies in, which is when the next one begins."""
    reach = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 31, Period.YEAR: 366}[period]
    return begin(period, begin(period, at) + timedelta(days=reach))


def named(table: str, period: Period, lower: datetime) -> str:
    """A partition's name: system_metrics_2024_01. One that does not begin with its period has the day of its begin."""
    is_whole = lower == begin(period, lower)
    form = {Period.MONTH: "%Y_%m", Period.YEAR: "%Y"}.get(period, "%Y_%m_%d") if is_whole else "%Y_%m_%d"
    return f"{table}_{lower.strftime(form)}"


def missing(declared: Partitioned, there: Sequence[Partition], first: datetime, last: datetime) -> Iterator[Partition]:
    """The partitions that are needed from the period of `first` up to that of `last`, and are not there.

    Those that are there may have been made for another period: what lies between them is filled.
    """
    at, stop = begin(declared.period, first), end(declared.period, last)
    while at < stop:
        inside = [each.upper for each in there if each.lower <= at < each.upper]
        if inside:
            at = inside[0]
            continue
        upper = min([end(declared.period, at), *(each.lower for each in there if each.lower > at)])
        yield Partition(named(declared.table, declared.period, at), at, upper)
        at = upper


async def of(db: Read, table: str) -> list[Partition]:
    """The partitions of a table ("schema"."table"), the oldest first."""
    return [Partition(*row.values()) for row in await db.rows(OF, table=table)]


async def late(db: Read, apps: Sequence[App], now: datetime) -> list[str]:
    """The partitions that ought to be there: those of the next period, or of this one, which is worse."""
    return [
        f"{app.name}.{each.name}"
        for app in apps
        for declared in app.partitions.values()
        for each in missing(declared, await of(db, f"{app.name}.{declared.table}"), now, now + declared.horizon / 2)
    ]


async def make(db: Write, apps: Sequence[App], now: datetime) -> list[str]:
    """Makes what is missing up to each table's horizon; answers the names."""
    made = []
    for app in apps:
        for declared in app.partitions.values():
            there = await of(db, f"{app.name}.{declared.table}")
            for each in missing(declared, there, now - EARLIER, now + declared.horizon):
                await add(db, app.name, declared.table, each)
                made.append(f"{app.name}.{each.name}")
    return made


async def cover(db: Write, app: App, declared: Partitioned, first: datetime, last: datetime) -> None:
    """Makes what is missing for rows of these times, such as those that are brought back."""
    for each in missing(declared, await of(db, f"{app.name}.{declared.table}"), first, last):
        await add(db, app.name, declared.table, each)


async def add(db: Write, schema: str, table: str, partition: Partition) -> None:
    """Makes one, and attaches it: who reads and writes the table meanwhile does not wait."""
    await db.value(ADD, schema=schema, parent=table, name=partition.name, lower=partition.lower, upper=partition.upper)


async def keep_ahead(db: Write, apps: Apps) -> None:
    """Makes the partitions that will be needed."""
    await make(db, apps, clock.now())
