"""Migrations written as SQL: a file for the way up and one for the way down, beside the revision."""

from pathlib import Path

from alembic import op


def run(revision: str, way: str) -> None:
    """Executes `<revision>.<way>.sql`, statement by statement; they are separated by empty lines."""
    text = Path(revision).with_suffix(f".{way}.sql").read_text()
    for statement in text.split(";\n\n"):
        if body := "\n".join(line for line in statement.splitlines() if not line.startswith("--")).strip():
            op.get_bind().exec_driver_sql(body)
