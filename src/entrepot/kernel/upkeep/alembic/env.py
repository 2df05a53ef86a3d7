"""Alembic's environment, the same for every app: version table and tables lie in the app's own schema."""

from alembic import context

options = context.config.attributes


def is_ours(_object: object, name: str | None, kind: str, *_more: object) -> bool:
    """Whether autogenerate looks at it; the version table is Alembic's own."""
    return not (kind == "table" and name == "alembic_version")


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
