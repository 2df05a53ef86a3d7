"""`entrepot archive` and `entrepot retention`: what left the database, whether it is whole, and how it comes back."""

from uuid import UUID

import asyncpg
import msgspec
import typer

from entrepot import console
from entrepot.commands.here import owner_url
from entrepot.commands.inside import in_house
from entrepot.console import Failed
from entrepot.kernel.app import Apps
from entrepot.kernel.db.database import Database
from entrepot.kernel.refusal import Refusal
from entrepot.kernel.settings import Settings
from entrepot.kernel.store.archives import Archives
from entrepot.kernel.upkeep import retention
from entrepot.kernel.upkeep.archive import ledger, restoring
from entrepot.kernel.upkeep.archive.model import Archive

NOT_TAKEN = (asyncpg.IntegrityConstraintViolationError, asyncpg.UndefinedColumnError, asyncpg.DataError)


class Verdict(msgspec.Struct, frozen=True):
    """Whether one archive is what was proven."""

    id: UUID
    table: str
    rows: int
    fault: str | None


def run(*, json: bool) -> None:
    """Does `entrepot retention run`."""
    try:
        done = in_house(retention.run)
    except Refusal as refused:
        raise Failed(refused.message) from None
    except retention.RetentionFailed as failed:
        raise Failed(f"it was ended early: {failed}", "entrepot retention run") from None
    if json:
        console.as_json(done)
    else:
        console.mark("good", f"{done.archived_rows} rows archived in {done.archives} archives")
        console.mark(
            "good", f"{done.removed_rows} rows removed, {done.dropped_partitions} partitions dropped with them"
        )
        if done.expired_archives:
            console.mark("good", f"{done.expired_archives} archives were old enough to go")
        if done.waiting:
            console.mark("note", f"{done.waiting} archives wait for a proven backup: entrepot backup verify")
        for failure in done.failures:
            console.mark("bad", failure)
    raise typer.Exit(1 if done.failures else 0)


def list_all(table: str | None, *, json: bool) -> None:
    """Does `entrepot archive list`."""
    found: list[Archive] = in_house(_everything, table=table)
    if json:
        console.as_json(found)
        return
    rows = [
        (str(each.id), f"{each.app}.{each.table_name}", each.partition or "rows", each.state, str(each.rows))
        for each in found
    ]
    console.table(("archive", "table", "what", "state", "rows"), rows)


def verify(which: list[UUID] | None, *, json: bool) -> None:
    """Does `entrepot archive verify`."""
    try:
        found: list[Verdict] = in_house(_verify, which=which)
    except Refusal as refused:
        raise Failed(refused.message) from None
    if json:
        console.as_json(found)
    else:
        for each in found:
            kind, told = ("bad", each.fault) if each.fault else ("good", f"{each.rows} rows")
            console.mark(kind, f"{each.id} {each.table}: {told}")
        console.line(f"{sum(each.fault is not None for each in found)} of {len(found)} archives are damaged.")
    raise typer.Exit(1 if any(each.fault for each in found) else 0)


def restore(which: UUID, into: str | None) -> None:
    """Does `entrepot archive restore`."""
    try:
        rows = in_house(_restore, which=which, into=into)
    except Refusal as refused:
        raise Failed(refused.message) from None
    except (*NOT_TAKEN, asyncpg.DuplicateTableError, asyncpg.InsufficientPrivilegeError) as error:
        raise Failed(f"the database does not take them, and nothing was changed: {error}") from None
    console.mark("good", f"{rows} rows are back" + (f", in {into}" if into else ""))


async def _everything(database: Database, table: str | None) -> list[Archive]:
    async with database.read() as db:
        return await ledger.everything(db, table)


async def _verify(database: Database, archives: Archives, which: list[UUID] | None) -> list[Verdict]:
    async with database.read() as db:
        if which:
            chosen = [await restoring.found(db, each) for each in which]
        else:
            chosen = await ledger.with_objects(db)
    return [
        Verdict(each.id, f"{each.app}.{each.table_name}", each.rows, await restoring.fault(archives, each))
        for each in chosen
    ]


async def _restore(
    database: Database, archives: Archives, apps: Apps, settings: Settings, which: UUID, into: str | None
) -> int:
    if into is None:
        return await restoring.restore(database, archives, apps, which)
    async with Database(owner_url(settings), settings) as owned:
        return await restoring.restore(owned, archives, apps, which, into)
