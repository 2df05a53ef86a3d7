"""`entrepot doctor`: what is wrong here, and the command that mends it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import msgspec
import typer

from entrepot import console
from entrepot.commands import here
from entrepot.commands.disks import disks
from entrepot.commands.standing import ChainStanding, standings
from entrepot.console import Failed
from entrepot.dev import postgres
from entrepot.dev.anvil import AnvilMissing, executable
from entrepot.kernel import clock
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.replica import fault
from entrepot.kernel.monitor import looks, statements, store
from entrepot.kernel.monitor.measures import FRESH
from entrepot.kernel.monitor.rules import RULES
from entrepot.kernel.monitor.wal import OURS
from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.upkeep.backup.model import BackupFailed
from entrepot.kernel.upkeep.backup.wal import GUARD, STREAM
from entrepot.kernel.upkeep.backup.work import standing
from entrepot.main import find_apps

OLDEST = 15  # the least PostgreSQL
LOOKED_AT, OF_CHAINS = frozenset({"archive", "backup", "partition", "task"}), frozenset({"chain", "mirror"})
"""Alert rules of what is looked at here as well, and told as it is now."""
WORK = """
    SELECT (SELECT count(*) FROM core.leases WHERE expires_at > now()), (SELECT max(started_at) FROM core.cron_ticks),
        (SELECT count(*) FROM core.system_metrics WHERE service_name = 'server' AND timestamp > now() - $1::interval)
"""
HELD = """
    SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS held FROM pg_replication_slots
    WHERE NOT active AND pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > $1 ORDER BY slot_name
"""
LAST_RUNS = """
    SELECT DISTINCT ON (task) task, error FROM core.cron_ticks
    WHERE finished_at > now() - interval '2 days' ORDER BY task, tick DESC
"""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `state` is good, note (worth knowing) or bad; `mend` is a command."""

    name: str
    state: str
    found: str
    mend: str = ""


def doctor(*, json: bool) -> None:
    """Does `entrepot doctor`."""
    found = list(examine())
    well = all(each.state != "bad" for each in found)
    if json:
        console.as_json({"ok": well, "findings": found})
    else:
        show(found)
    raise typer.Exit(0 if well else 1)


def show(found: list[Finding]) -> None:
    """One line for each, and under what is wrong its remedy."""
    for each in found:
        console.mark(each.state, f"{each.name:<10} {each.found}")
        if each.mend:
            console.line(f"             [name]{each.mend}[/]")
    bad = sum(each.state == "bad" for each in found)
    console.line()
    console.line(f"{bad} problem{'' if bad == 1 else 's'} found." if bad else "All is well.")


def examine() -> Iterator[Finding]:
    """Everything, in the order in which one thing needs another; what cannot be looked at yet is left out."""
    try:
        settings = here.settings()
        apps = find_apps(settings.apps)
    except BadSettings as bad:
        yield Finding("settings", "bad", str(bad), "set it right, or unset it; the README has every setting")
        return
    yield Finding(
        "settings", "good", f"apps: {', '.join(app.name for app in apps[1:]) or 'none'}; home {settings.home}"
    )
    with looked_at(settings) as (finding, opened):
        yield finding
        yield from here.run(collect(room(settings, here.owner_url(opened) if opened else "")))
        if opened is not None:
            yield from here.run(collect(schema(opened)))
            if not here.run(here.behind(here.owner_url(opened), apps)):
                yield from here.run(collect(chains(opened)))
                yield from here.run(collect(worker(opened)))
                yield from here.run(collect(slots(opened)))
                yield from here.run(collect(replicas(opened)))
                yield from here.run(collect(backups(opened)))
                yield from here.run(collect(monitoring(opened)))
    yield from here.run(collect(server(settings)))


async def collect(findings: AsyncIterator[Finding]) -> list[Finding]:
    """All of them."""
    return [each async for each in findings]


@contextmanager
def looked_at(settings: Settings) -> Iterator[tuple[Finding, Settings | None]]:
    """The database, opened; or what keeps it from being opened. None is made."""
    if not settings.database_url and not postgres.is_made(settings):
        yield Finding("database", "bad", "there is none yet", "entrepot up"), None
        return
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(postgres.embedded(settings))
        except postgres.PostgresFailed:
            log = settings.home / "postgres" / "log"
            yield Finding("database", "bad", f"PostgreSQL does not start: {last_words(log)}", f"see {log}"), None
            return
        kind = "of DATABASE_URL" if settings.database_url else "embedded"
        try:
            here.run(here.require_database(here.owner_url(opened)))
            yield Finding("database", "good", f"PostgreSQL, {kind}"), opened
        except Failed as failed:
            mend = "start it, or set DATABASE_URL right" if settings.database_url else "entrepot up"
            yield Finding("database", "bad", failed.what, mend), None


def last_words(log: Path) -> str:
    """Why PostgreSQL ended, as its log says."""
    lines = log.read_text(errors="replace").splitlines()[-200:] if log.is_file() else []
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return fatal[-1].partition("] ")[2] if fatal else "its log does not say why"


async def room(settings: Settings, owner_url: str) -> AsyncIterator[Finding]:
    """Whether there is some on the disks of this machine; also where no database is, as a full disk ends it."""
    for disk in await disks(settings, owner_url):
        mend = "" if disk.state == "good" else "see docs/operations/disk-full.md"
        yield Finding("disk", disk.state, disk.told, mend)


async def schema(settings: Settings) -> AsyncIterator[Finding]:
    """Version, migrations, and what the server's role may do."""
    owner = await asyncpg.connect(here.owner_url(settings))
    try:
        version = owner.get_server_version()
        if version.major < OLDEST:
            yield Finding("version", "bad", f"PostgreSQL {version.major} is too old", f"use {OLDEST} or newer")
        role = await owner.fetchrow("SELECT rolsuper FROM pg_roles WHERE rolname = $1", settings.server_role)
    finally:
        await owner.close()
    late = await here.behind(here.owner_url(settings), find_apps(settings.apps))
    if late:
        names = ", ".join(each.app for each in late)
        yield Finding("schema", "bad", f"behind this release: {names}", "entrepot migrate up")
        return
    yield Finding("schema", "good", f"this release's, on PostgreSQL {version.major}.{version.micro}")
    if role is None:
        yield Finding("role", "bad", f"there is no role {settings.server_role}", "entrepot migrate up")
    elif role["rolsuper"]:
        mend = f"ALTER ROLE {settings.server_role} NOSUPERUSER"
        yield Finding("role", "bad", f"{settings.server_role} is a superuser", mend)


async def chains(settings: Settings) -> AsyncIterator[Finding]:
    """Endpoints, contracts and mirrors."""
    if not settings.chains:
        yield Finding("chains", "note", "none is configured; entrepot up brings a local one", "export ENTREPOT_CHAINS")
        try:
            executable()
        except AnvilMissing as missing:
            yield Finding("anvil", "note", str(missing), "npm ci")
    for chain in await standings(settings, find_apps(settings.apps)):
        for each in _faults(chain):
            yield each
        if chain.is_well:
            yield Finding(chain.name, "good", f"head {chain.head}, {len(chain.contracts)} contracts")


def _faults(chain: ChainStanding) -> Iterator[Finding]:
    """What is wrong with one chain."""
    for endpoint in chain.endpoints:
        if endpoint.fault:
            yield Finding(chain.name, "bad", f"{endpoint.name} {endpoint.fault}", "mend ENTREPOT_CHAINS")
    if chain.head is None:
        return
    deploying = f"entrepot chain deploy --chain {chain.name}"
    if not chain.contracts:
        yield Finding(chain.name, "bad", "no contract is deployed", deploying)
    for each in chain.contracts:
        if not each.has_code:
            yield Finding(chain.name, "bad", f"{each.name}: no code at {each.address}", f"{deploying} --again")
        elif not each.is_well:
            yield Finding(chain.name, "bad", f"{each.name}: the mirror is {each.lag_told}", "entrepot worker")


async def worker(settings: Settings) -> AsyncIterator[Finding]:
    """Whether one works, which its leases and ticks tell, and whether tasks failed."""
    owner = await asyncpg.connect(here.owner_url(settings))
    try:
        ((held, begun, servers),) = await owner.fetch(WORK, FRESH)
        runs = await owner.fetch(LAST_RUNS)
    finally:
        await owner.close()
    serves = bool(settings.chains) and any(app.services for app in find_apps(settings.apps))
    if held if serves else (begun is not None and clock.now() - begun < FRESH):
        yield Finding("worker", "good", f"{held} services run" if serves else "at work")
    else:
        since = f"since {begun:%Y-%m-%d %H:%M} UTC" if begun else "yet"
        # Where nobody serves either, the market is not meant to run.
        yield Finding("worker", "bad" if servers else "note", f"none is at work {since}", "entrepot worker")
    for task, error in runs:
        if error is not None:
            yield Finding("task", "bad", f"{task} failed: {error}", f"entrepot task run {task}")


async def backups(settings: Settings) -> AsyncIterator[Finding]:
    """Whether they can be made, whether the archive of the WAL follows, and how old the last proof is."""
    if not settings.backup_url:
        yield Finding("backups", "note", "none are made by themselves", "export ENTREPOT_BACKUP_URL")
        return
    try:
        found = await standing(settings)
    except BackupFailed as failed:
        yield Finding("backups", "bad", failed.what, failed.mend)
        return
    except BadSettings as bad:
        yield Finding("backups", "bad", str(bad), "see docs/operations/wal-archive.md")
        return
    for what, mend in found.lacks:
        yield Finding("backups", "bad", what, mend)
    for what, mend in found.notes:
        yield Finding("backups", "note", what, mend)
    for alarm in found.alarms:
        yield Finding("backups", "bad", alarm, "entrepot backup verify")
    if not found.follows:
        mend = "entrepot worker; if one is at work, see docs/operations/wal-archive.md"
        yield Finding("backups", "bad", f"the archive of the WAL {found.reach}", mend)
    if found.follows and not found.lacks and not found.alarms:
        yield Finding("backups", "good", f"proven; the archive of the WAL {found.reach}")


async def monitoring(settings: Settings) -> AsyncIterator[Finding]:
    """Alerts that last, partitions, indexes, and whether statements are counted."""
    apps, mends = find_apps(settings.apps), {rule.name: rule.mend for rule in RULES}
    async with Database(settings.database_url, settings) as database, database.read() as db:
        incidents, late = await store.fired(db), await partitions.late(db, apps, clock.now())
        advice = await looks.advice(db, [app.name for app in apps])
        is_counted = await statements.are_counted(db)
    for each in incidents:
        if each.rule in LOOKED_AT or each.subject == OURS or (each.rule in OF_CHAINS and settings.chains):
            continue  # an incident lasts until the worker looks again
        what = f"{each.rule} {each.subject}".strip()
        yield Finding("alert", "bad", f"{what}: {each.told}", mends.get(each.rule, "read the worker's log"))
    for name in late:
        yield Finding("partition", "bad", f"{name} is not there", "entrepot migrate up")
    for one in advice:
        state = "note" if one.advice == "unused" else "bad"
        mend = "entrepot maintain" if one.advice == "invalid" else one.mend
        yield Finding("index", state, f"{one.advice} on {one.table}: {one.name}, {one.why}", mend)
    if not is_counted:
        mend = "shared_preload_libraries = 'pg_stat_statements', and CREATE EXTENSION pg_stat_statements"
        yield Finding("statements", "note", "their times are not counted, so slow ones are not told", mend)
    if not incidents and not late:
        yield Finding("monitoring", "good", f"{len(RULES)} alert rules, and nothing to tell")


async def slots(settings: Settings) -> AsyncIterator[Finding]:
    """Whether WAL is kept for somebody who does not come for it, until the disk is full."""
    owner = await asyncpg.connect(here.owner_url(settings))
    try:
        held = await owner.fetch(HELD, 256 * 2**20)
    finally:
        await owner.close()
    for name, octets in held:
        told = f"{octets / 2**20:.0f} MB of WAL are kept for {name}, which nobody reads"
        drop = f"SELECT pg_drop_replication_slot('{name}'), where it is gone for good"
        yield Finding("slot", "bad", told, "entrepot worker" if name in (GUARD, STREAM) else drop)


async def replicas(settings: Settings) -> AsyncIterator[Finding]:
    """Whether each can be read, and follows this primary."""
    for number, url in enumerate(settings.replica_urls, 1):
        wrong = await fault(url, settings.database_direct_url or settings.database_url)
        if wrong:
            yield Finding("replica", "bad", f"number {number} {wrong}", "see docs/operations/replica-rebuild.md")
        else:
            yield Finding("replica", "good", f"number {number} follows")


async def server(settings: Settings) -> AsyncIterator[Finding]:
    """Whether one answers."""
    up = here.running(settings.home)
    url = up.url if up else f"http://{settings.host}:{settings.port}"
    if await here.answers(url):
        yield Finding("server", "good", f"answers on {url}")
    else:
        yield Finding("server", "note", f"none answers on {url}", "entrepot up, or entrepot serve")
