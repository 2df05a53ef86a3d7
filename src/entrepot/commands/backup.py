"""`entrepot backup`: backups that are proven by restoring them."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import typer

from entrepot import console
from entrepot.commands import here
from entrepot.commands.inside import in_house
from entrepot.console import Failed
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep.backup import ledger, server, work
from entrepot.kernel.upkeep.backup.dump import dump as dump_table
from entrepot.kernel.upkeep.backup.model import Backup, BackupFailed, Outcome, Position, Proof
from entrepot.kernel.upkeep.backup.place import place_of
from entrepot.kernel.upkeep.backup.programs import Programs, apart
from entrepot.kernel.upkeep.backup.restore import restore as restore_backup

T = TypeVar("T")
MOMENT = "%Y-%m-%d %H:%M:%S"


class Listed(msgspec.Struct, frozen=True):
    """What the place has, and how the last verification of each ended."""

    backups: list[Backup]
    verdicts: list[ledger.Verdict]
    position: Position | None


def done(work: Callable[..., Coroutine[Any, Any, T]], **given: Any) -> T:
    """Does it in the house; what fails ends the command."""
    try:
        return in_house(work, **given)
    except BackupFailed as failed:
        raise Failed(failed.what, failed.mend) from None


def create(*, incremental: bool, json: bool) -> None:
    """Does `entrepot backup create`."""
    made = done(work.make, incremental=incremental)
    if json:
        console.as_json(made)
    else:
        console.mark("good", f"{made.kind} backup {made.id}", f"{_size(made.size)}, {_size(made.stored)} stored")


def show(*, json: bool) -> None:
    """Does `entrepot backup list`."""
    found = done(_listed)
    if json:
        console.as_json(found)
        return
    verdicts = {verdict.backup: verdict for verdict in found.verdicts}
    rows = []
    for backup in found.backups:
        verdict = verdicts.get(backup.id)
        told = f"{verdict.outcome} {verdict.verified_at:{MOMENT}}" if verdict else "not verified"
        sealed = backup.key or "not sealed"
        rows.append((str(backup.id), backup.kind, f"{backup.ended_at:{MOMENT}}", _size(backup.stored), sealed, told))
    console.table(("backup", "kind", "ended (UTC)", "stored", "key", "last verification"), rows)
    if found.position:
        console.line(f"The archive of the WAL reaches {found.position.lsn}, {found.position.at:{MOMENT}} UTC.")
    else:
        console.mark("note", "there is no archive of the WAL: a backup brings back its own moment only")


async def _listed(settings: Settings, database: Database) -> Listed:
    async with server.connected(server.address(settings)) as connection:
        place = place_of(settings, (await server.cluster(connection)).system, unsealed=True)  # nothing is made of it
    programs = Programs(Path())
    async with database.read() as db:
        verdicts = await ledger.verdicts(db)
    return Listed(await apart(programs, place.backups), verdicts, await apart(programs, place.position))


def verify(backup: UUID | None, *, unsealed: bool, json: bool) -> None:
    """Does `entrepot backup verify`."""
    proof: Proof = done(work.prove, which=backup, unsealed=unsealed)
    if json:
        console.as_json(proof)
    elif proof.outcome is Outcome.PROVEN:
        told = f"{proof.tables} tables, {proof.rows} rows, {proof.seconds:.1f} s"
        console.mark("good", f"backup {proof.backup} is proven up to {proof.covers_until:{MOMENT}} UTC", told)
    else:
        console.mark("bad", f"backup {proof.backup} is not proven")
        for each in proof.findings:
            console.line(f"  {each}")
    raise typer.Exit(0 if proof.outcome is Outcome.PROVEN else 1)


def restore(folder: Path, *, to: str, system: str, unsealed: bool) -> None:
    """Does `entrepot backup restore`."""
    try:
        with console.step("Restoring", f"a server stands in {folder}") as step:
            made = here.run(restore_backup(here.settings(), folder, to, system, unsealed=unsealed))
            step.detail = f"from the {made.backup.kind} backup of {made.backup.ended_at:{MOMENT}} UTC to {made.target}"
    except BackupFailed as failed:
        raise Failed(failed.what, failed.mend) from None
    console.line(f"Start it: pg_ctl -D {folder} start")


def prune() -> None:
    """Does `entrepot backup prune`."""
    gone = done(work.clear)
    rest = f"{gone.left_over} files of backups that were cut off" if gone.left_over else ""
    console.mark("good", f"{len(gone.backups)} backups and {gone.segments} WAL segments removed", rest)


def dump(table: str, file: Path) -> None:
    """Does `entrepot backup dump`."""
    size = done(dump_table, table=table, file=file)
    console.mark("good", f"{table} written to {file}", _size(size))


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
