"""The schema as plain SQL, as pg_dump writes it: to be read, compared, or run on an empty server."""

import tempfile
from pathlib import Path

import asyncpg

from entrepot.kernel.upkeep.backup import programs


async def dump(url: str, app: str, folder: str = "") -> str:
    """An app's schema, without rows, owners and rights, which are given anew after each migration.

    `folder` is that of PostgreSQL's programs. Raises `BackupFailed` where there is no pg_dump of the server's version.
    """
    connection = await asyncpg.connect(url)
    major = connection.get_server_version().major
    await connection.close()
    found = programs.Programs(programs.find(major, folder))
    return await programs.apart(found, _dump, found, url, app)


def _dump(found: programs.Programs, url: str, app: str) -> str:
    with tempfile.NamedTemporaryFile() as file:
        given = ("--no-password", "--schema-only", "--no-owner", "--no-privileges", f"--schema={app}")
        found.run("pg_dump", *given, f"--file={file.name}", env=programs.environment(url))
        return Path(file.name).read_text()
