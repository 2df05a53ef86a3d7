"""The words of the commands by which a market is looked after: doctor, maintain, schema, task, vault."""

from typing import Annotated

import typer

from entrepot.kernel.command import done_by

Json = Annotated[bool, typer.Option("--json", help="Answer JSON.")]
schema = typer.Typer(no_args_is_help=True, help="The database's schema as SQL: dump.")
task = typer.Typer(no_args_is_help=True, help="What the worker does at its times.")
vault = typer.Typer(no_args_is_help=True, help="The keys that seal the server's own secrets: status, rotate.")


@done_by("entrepot.commands.doctor:doctor")
def doctor(*, json: Json = False) -> None:
    """Look at settings, database, schema, chains, contracts, worker, backups and server, and tell what mends it.

    Changes nothing. Exit status: 0 all is well, 1 something is wrong, a bad setting included.
    """


@done_by("entrepot.commands.maintain:maintain")
def maintain(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    json: Json = False,
) -> None:
    """Vacuum, analyse and reindex what dead rows, old statistics and bloat ask for, while the market runs.

    Uses DATABASE_OWNER_URL. Exit status: 0 done, 1 something could not be done now, for instance for a lock.
    """


@schema.callback()
def of_schema() -> None:
    """Makes `dump` a word of its own, although it is the only one."""


@schema.command("dump")
@done_by("entrepot.commands.schema:dump")
def dump_schema(
    name: Annotated[str, typer.Argument(help="The app, by name; `core` is the kernel. All, where none is named.")] = "",
) -> None:
    """Print the schema as plain SQL, as it stands in the database.

    Exit status: 0 printed, 1 the database or pg_dump does not answer, 2 bad usage.
    """


@task.command("list")
@done_by("entrepot.commands.task:show")
def list_tasks(*, json: Json = False) -> None:
    """Tell every task, and when it comes next. Exit status: 0, or 2 where a setting cannot be used."""


@task.command("run")
@done_by("entrepot.commands.task:run")
def run_task(name: Annotated[str, typer.Argument(help="As `entrepot task list` has it.")]) -> None:
    """Run a task now, once, as a tick of its own: what the last run failed to do is done, and its alert ends.

    Exit status: 0 it ran well, 1 it failed or there is no such task, 2 a setting cannot be used.
    """


@vault.command("status")
@done_by("entrepot.commands.vault:status")
def vault_status(*, json: Json = False) -> None:
    """Tell which keys have sealed how many secrets; a key that has sealed none may be taken out of the settings.

    Exit status: 0 all are sealed by the newest key, 1 some are not, 2 a setting cannot be used.
    """


@vault.command()
@done_by("entrepot.commands.vault:rotate")
def rotate() -> None:
    """Seal every secret again by the newest key, the last of ENTREPOT_VAULT_KEYS; the market may run.

    Exit status: 0 done or nothing to do, 1 a secret's key is not among those given, 2 a setting cannot be used.
    """
