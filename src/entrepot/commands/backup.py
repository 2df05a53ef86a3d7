"""`entrepot backup`: backups that are proven by restoring them."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar
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
group = typer.Typer(no_args_is_help=True, help="Backups: create, list, verify, restore, prune, dump.")
Json = Annotated[bool, typer.Option("--json", help="Answer JSON.")]
Unsealed = Annotated[bool, typer.Option("--unsealed", help="Take what is not sealed, too, though there are keys.")]
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


@group.command()
def create(
    *,
    incremental: Annotated[bool, typer.Option("--incremental", help="Only what changed since the last one.")] = False,
    json: Json = False,
) -> None:
    """Take a backup of the whole server, full or incremental (PostgreSQL 17 or newer, with summarize_wal).

    Exit status: 0 taken, 1 it could not be, 2 a setting cannot be used.
    """
    made = done(work.make, incremental=incremental)
    if json:
        console.as_json(made)
    else:
        console.mark("good", f"{made.kind} backup {made.id}", f"{_size(made.size)}, {_size(made.stored)} stored")


@group.command("list")
def show(*, json: Json = False) -> None:
    """Tell which backups there are, whether they are proven, and how far the archive of the WAL reaches.

    Exit status: 0 told, 1 the place or the database does not answer, 2 a setting cannot be used.
    """
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


@group.command()
def verify(
    backup: Annotated[
        UUID | None, typer.Argument(help="The backup, by its id; the newest where none is given.")
    ] = None,
    *,
    unsealed: Unsealed = False,
    json: Json = False,
) -> None:
    """Restore a backup beside the server, compare it with the server at the same LSN, and note the outcome.

    Exit status: 0 it is proven, 1 it is not, 2 a setting cannot be used.
    """
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


@group.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="Where the server's files shall be; empty, or not there yet.")],
    *,
    to: Annotated[str, typer.Option(help="A time (2026-01-31T12:00:00Z) or an LSN; else as far as the WAL goes.")] = "",
    system: Annotated[str, typer.Option(help="Whose backups, where there are several servers'.")] = "",
    unsealed: Unsealed = False,
) -> None:
    """Make in a folder the server as it was at a time. Neither the database nor what runs is touched or needed.

    Exit status: 0 it stands there, stopped; 1 it could not be restored; 2 a setting cannot be used.
    """
    try:
        with console.step("Restoring", f"a server stands in {folder}") as step:
            made = here.run(restore_backup(here.settings(), folder, to, system, unsealed=unsealed))
            step.detail = f"from the {made.backup.kind} backup of {made.backup.ended_at:{MOMENT}} UTC to {made.target}"
    except BackupFailed as failed:
        raise Failed(failed.what, failed.mend) from None
    console.line(f"Start it: pg_ctl -D {folder} start")


@group.command()
def prune() -> None:
    """Remove what no moment of the window (ENTREPOT_BACKUP_WINDOW) is restored from, and what was cut off.

    Exit status: 0 done, or there was nothing; 1 not done; 2 a setting cannot be used.
    """
    gone = done(work.clear)
    rest = f"{gone.left_over} files of backups that were cut off" if gone.left_over else ""
    console.mark("good", f"{len(gone.backups)} backups and {gone.segments} WAL segments removed", rest)


@group.command()
def dump(
    table: Annotated[str, typer.Argument(help="schema.table")],
    file: Annotated[Path, typer.Argument(help="A new file, for pg_restore.")],
) -> None:
    """Write one table into a file: its rows, as one moment saw them, and its definition.

    Exit status: 0 written, 1 not written, 2 a setting cannot be used.
    """
    size = done(dump_table, table=table, file=file)
    console.mark("good", f"{table} written to {file}", _size(size))


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
