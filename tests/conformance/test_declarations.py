"""What an app declares is there, and all that is there is declared."""

from pathlib import Path

from croniter import croniter

from entrepot.kernel.app import App, Expire
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.upkeep import migrate


def tables(app: App) -> dict[str, set[str]]:
    return {table.name: set(table.columns.keys()) for table in app.tables.tables.values()}


def test_every_table_is_kept_for_a_reason_or_expires(app: App) -> None:
    assert set(app.retention) == set(tables(app))
    for name, rule in app.retention.items():
        if isinstance(rule, Expire):
            assert rule.column in tables(app)[name], f"{name} expires by {rule.column}, which is no column of it"
            assert rule.after.total_seconds() > 0
        else:
            assert rule.because.strip(), f"{name} is kept without a reason"


def test_every_table_lies_in_the_schema_that_has_the_apps_name(app: App) -> None:
    assert {table.schema for table in app.tables.tables.values()} == {app.name}


def test_every_append_only_table_is_a_table(app: App) -> None:
    assert app.append_only <= set(tables(app))


def test_every_machine_stands_for_a_column(app: App) -> None:
    for place, machine in app.machines.items():
        table, _, column = place.partition(".")
        assert column in tables(app)[table], f"{place} is no column"
        assert machine.moves


def test_every_task_has_a_name_of_its_app_and_times_that_can_be_read(app: App) -> None:
    names = [job.name for job in (*app.tasks, *app.services)]
    assert len(names) == len(set(names))
    assert all(name.startswith(f"{app.name}.") for name in names)
    for task in app.tasks:
        assert croniter.is_valid(task.cron, second_at_beginning=False), f"{task.name}: {task.cron}"


def test_every_contract_that_an_app_declares_is_built(app: App) -> None:
    for name in app.contracts:
        assert Artifact.load(name).bytecode


def test_every_migration_has_its_way_up_and_its_way_down(app: App) -> None:
    versions = Path(migrate.home(app)) / "versions"
    revisions = {path.stem for path in versions.glob("*.py")}
    assert revisions
    for way in ("up", "down"):
        written = {path.name.removesuffix(f".{way}.sql") for path in versions.glob(f"*.{way}.sql")}
        assert written <= revisions
