"""Retention: how fast rows become a proven archive beside COPY of the same rows, leave and come back; its memory."""

import asyncio
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from entrepot.dev import postgres
from entrepot.kernel import clock
from entrepot.kernel.app import Apps, Expire, Period
from entrepot.kernel.core import CORE
from entrepot.kernel.db.doors import Write
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep import migrate, partitions
from entrepot.kernel.upkeep.archive import making, removing, restoring
from entrepot.kernel.upkeep.archive.making import Span
from entrepot.kernel.upkeep.archive.parquet import Rows, Writer
from entrepot.kernel.upkeep.archive.relation import Relation, columns_of, speak_plainly
from entrepot.main import House, find_apps

ROLE = "entrepot_server"
ROWS = (200_000, 2_000_000)
GOAL = 0.6
FLAT = 1.25  # what ten times the rows may take of memory, beside what they take otherwise
SETTINGS = {**postgres.SETTINGS, "shared_buffers": "1GB"}
METRICS = """
    INSERT INTO core.system_metrics
    SELECT gen_random_uuid(), 'web-api', 'latency', random() * 100, 'ms',
        $1::timestamptz + interval '27 days' * random(),
        CASE i % 3 WHEN 0 THEN jsonb_build_object('i', i, 'path', '/api/v1/orders') END
    FROM generate_series(1, $2::bigint) i
"""
LOWER = datetime(2020, 3, 1, tzinfo=UTC)
UPPER = partitions.end(Period.MONTH, LOWER)
RULE = CORE.retention["system_metrics"]
assert isinstance(RULE, Expire)
RELATION = Relation(CORE, CORE.tables.tables["core.system_metrics"], RULE)


async def fill(owner: asyncpg.Connection, rows: int) -> str:
    """A month of metrics; answers the partition's name."""
    async with owner.transaction():
        last = UPPER - timedelta(seconds=1)
        await partitions.cover(Write(owner), CORE, CORE.partitions["system_metrics"], LOWER, last)
    await owner.execute(METRICS, LOWER, rows)
    name = partitions.named("system_metrics", Period.MONTH, LOWER)
    await owner.execute(f"VACUUM (ANALYZE) core.{name}")
    return name


async def timed(work: Any) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    found = await work
    return time.perf_counter() - began, found


async def write_only(house: House) -> float:
    """Seconds until the rows are an object, not read back."""
    async with house.database.write() as db:
        columns = await columns_of(db, RELATION.name)
        await speak_plainly(db, in_order=True)
        began = time.perf_counter()
        writer = Writer(house.archives.writer("trial.parquet"), columns)
        await making.copy_out(db, RELATION.rows(columns, LOWER, UPPER), writer.read, writer.write)
        await asyncio.to_thread(writer.close)
        return time.perf_counter() - began


async def once(settings: Settings, owner_url: str, rows: int) -> dict[str, Any]:
    """One round: COPY, archive, removal, return, and the most memory that this process held."""
    owner = await asyncpg.connect(owner_url)
    name = await fill(owner, rows)
    file = settings.home / "copied"
    async with House(settings) as house:
        copied, _ = await timed(owner.execute(f"COPY (SELECT * FROM core.{name}) TO '{file}'"))
        wrote = await write_only(house)
        made, archive = await timed(making.make(house.database, house.archives, RELATION, Span(LOWER, UPPER, name)))
        dropped, is_gone = await timed(removing.drop_partition(house.database, RELATION, archive))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        back, count = await timed(restoring.restore(house.database, house.archives, Apps(house.apps), archive.id))
    if not is_gone or count != rows or Rows((settings.home / "archives" / archive.name).open("rb")).sum().rows != rows:
        raise RuntimeError(f"{rows} rows were made and {count} came back")
    await owner.execute(f"DROP TABLE core.{name}")
    await owner.close()
    return {
        "rows": rows,
        "copy_seconds": copied,
        "write_seconds": wrote,
        "proven_seconds": made,
        "drop_seconds": dropped,
        "restore_seconds": back,
        "object_mb": archive.size / 1e6,
        "peak_mb": peak,
    }


def round_of(settings: Settings, owner_url: str, rows: int, said: Any) -> None:
    """A round in a process of its own, for its memory, and on the loop that workers have."""
    said.put(uvloop.run(once(settings, owner_url, rows)))


def run(rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Every size in some rounds, of which the median by COPY's share counts."""
    spawning = multiprocessing.get_context("spawn")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o777)
        with postgres.started(home / "postgres", SETTINGS) as server:
            asyncio.run(migrate.up(server.get_uri(), find_apps(), ROLE))
            settings = Settings(database_url=postgres.address(server, ROLE, "postgres"), home=home)
            for rows in ROWS:
                for _ in range(rounds):
                    said = spawning.Queue()
                    process = spawning.Process(target=round_of, args=(settings, server.get_uri(), rows, said))
                    process.start()
                    found.append(said.get(timeout=600))
                    process.join()
                    tell(line(found[-1]))
    largest = sorted(
        (each for each in found if each["rows"] == ROWS[-1]), key=lambda each: share(each, "proven_seconds")
    )
    median = largest[len(largest) // 2]
    peaks = [max(each["peak_mb"] for each in found if each["rows"] == rows) for rows in ROWS]
    return {"at": clock.now().isoformat(), "rounds": found, "median": median, "goal": GOAL, "peaks": peaks}


def share(each: dict[str, Any], what: str) -> float:
    """How much of COPY's throughput it has."""
    return float(each["copy_seconds"] / each[what])


def line(each: dict[str, Any]) -> str:
    """One round."""
    rates = {what: each["rows"] / each[f"{what}_seconds"] for what in ("copy", "write", "proven", "drop", "restore")}
    told = ", ".join(f"{what} {rate:,.0f}/s" for what, rate in rates.items())
    return f"{each['rows']:,} rows: {told}; {each['object_mb']:.0f} MB, at most {each['peak_mb']:.0f} MB of memory"


def table(result: dict[str, Any]) -> list[str]:
    """The result as Markdown."""
    median, (small, large) = result["median"], result["peaks"]
    written, proven = share(median, "write_seconds"), share(median, "proven_seconds")
    return [
        f"A month of metrics, {median['rows']:,} rows, the median of the rounds; the peer is the server's own"
        " `COPY ... TO` a file of the same rows.",
        "",
        "| what | rows a second | of COPY | goal | met |",
        "| --- | ---: | ---: | ---: | --- |",
        f"| `COPY ... TO` | {median['rows'] / median['copy_seconds']:,.0f} | 100 % | | |",
        f"| archived | {median['rows'] / median['write_seconds']:,.0f} | {written:.0%}"
        f" | {GOAL:.0%} | {met(written >= GOAL)} |",
        f"| archived, read back, compared | {median['rows'] / median['proven_seconds']:,.0f} | {proven:.0%}"
        f" | {GOAL:.0%} | {met(proven >= GOAL)} |",
        f"| compared again and dropped | {median['rows'] / median['drop_seconds']:,.0f} | | | |",
        f"| restored | {median['rows'] / median['restore_seconds']:,.0f} | | | |",
        "",
        f"Most memory of the process: {small:.0f} MB with {ROWS[0]:,} rows, {large:.0f} MB with {ROWS[1]:,}; goal:"
        f" at most {FLAT:g} times as much; met: {met(large <= small * FLAT)}.",
    ]


def met(is_met: bool) -> str:  # noqa: FBT001 - it is what is asked
    """How the other tables say it."""
    return "yes" if is_met else "NO"
