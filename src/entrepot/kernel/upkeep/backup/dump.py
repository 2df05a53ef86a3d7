"""A logical dump of one table, as pg_restore reads it: for a look at it elsewhere, or to bring it back alone."""

from pathlib import Path

from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep.backup import server
from entrepot.kernel.upkeep.backup.model import BackupFailed
from entrepot.kernel.upkeep.backup.programs import Programs, apart, environment, find

IS_TABLE = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($1) AND relkind IN ('r', 'p'))"
ITS_NAME = "SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"


async def dump(settings: Settings, table: str, file: Path) -> int:
    """Writes a table (`schema.table`), its indexes and its rows into a new file; its bytes. Raises `BackupFailed`."""
    url = server.address(settings)
    async with server.connected(url) as connection:
        if not await connection.fetchval(IS_TABLE, table):
            raise BackupFailed(f"there is no table {table!r}; write it as schema.table")
        name = await connection.fetchval(f"{ITS_NAME} WHERE c.oid = to_regclass($1)", table)
        major = connection.get_server_version().major
    programs = Programs(find(major, settings.postgres_programs))
    return await apart(programs, _dump, programs, major, url, name, file)


def _dump(programs: Programs, major: int, url: str, name: str, file: Path) -> int:
    """Under another name first: a dump that has its name is whole."""
    if file.exists():
        raise BackupFailed(f"{file} is there already")
    part = file.with_name(f".{file.name}.part")
    try:
        chosen = f"--table-and-children={name}" if major >= 16 else f"--table={name}"
        programs.run("pg_dump", "-w", "-Fc", chosen, f"--file={part}", env=environment(url))
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return file.stat().st_size
