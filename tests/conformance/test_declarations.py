"""What an app declares is there, and all that is there is declared."""

from pathlib import Path
from typing import get_type_hints

from croniter import croniter

from entrepot.kernel.app import App, Expire
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.http.route import read_signature
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


def test_every_table_that_rows_leave_lets_them_go(app: App) -> None:
    for name, rule in app.retention.items():
        if isinstance(rule, Expire):
            is_whole = name in app.partitions
            assert is_whole or name not in app.append_only, f"the server may not delete from {name}"
            assert not is_whole or (rule.archive and rule.condition == "true"), f"{name} leaves by whole partitions"
            assert rule.cold is None or (rule.archive and rule.cold.total_seconds() > 0)


def test_every_partitioned_table_says_how_it_is_partitioned_and_expires_by_that(app: App) -> None:
    by = {table.name: table.dialect_options["postgresql"]["partition_by"] for table in app.tables.tables.values()}
    assert {name: how for name, how in by.items() if how} == {
        name: f"RANGE ({declared.key})" for name, declared in app.partitions.items()
    }
    for name, declared in app.partitions.items():
        rule = app.retention[name]
        assert declared.table == name
        assert not isinstance(rule, Expire) or rule.column == declared.key


def test_every_table_lies_in_the_schema_that_has_the_apps_name(app: App) -> None:
    assert {table.schema for table in app.tables.tables.values()} == {app.name}


def test_every_append_only_table_is_a_table(app: App) -> None:
    assert app.append_only <= set(tables(app))


def test_every_machine_stands_for_a_column(app: App) -> None:
    for place, machine in app.machines.items():
        table, _, column = place.partition(".")
        assert column in tables(app)[table], f"{place} is no column"
        assert machine.moves


def test_every_kind_of_kept_answers_is_some_routes_and_of_its_app(app: App) -> None:
    assert {route.cached for route in app.routes if route.cached is not None} == set(app.caches)
    assert all(kind.name.startswith(f"{app.name}.") and kind.ttl.total_seconds() > 0 for kind in app.caches)
    for route in app.routes:
        if route.cached is not None and route.cached.about is not None:
            assert route.cached.about in get_type_hints(read_signature(route.operation).ask)


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
