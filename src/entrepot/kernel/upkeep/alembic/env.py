"""Alembic's environment, the same for every app: version table and tables lie in the app's own schema."""

from functools import cache

from alembic import context

from entrepot.kernel.upkeep.migrate import names_of_partitions

options = context.config.attributes


@cache
def not_ours() -> set[str]:
    """Asked for only when it is needed: a query before `configure` would begin a transaction around all migrations."""
    return {"alembic_version", *names_of_partitions(options["connection"], options["schema"])}


def is_ours(_object: object, name: str | None, kind: str, *_more: object) -> bool:
    """Whether autogenerate looks at it; the version table is Alembic's own, and partitions are made as time goes."""
    return kind != "table" or name not in not_ours()


context.configure(
    connection=options["connection"],
    target_metadata=options["metadata"],
    version_table="alembic_version",
    version_table_schema=options["schema"],
    include_schemas=True,
    include_name=lambda name, kind, _parents: kind != "schema" or name == options["schema"],
    include_object=is_ours,
    compare_type=True,
    compare_server_default=False,
    transaction_per_migration=True,
)
context.run_migrations()
