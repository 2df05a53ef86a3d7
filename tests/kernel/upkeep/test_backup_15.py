"""Backups of the oldest PostgreSQL that the house works on: full ones only, and as well proven."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.kernel.upkeep import migrate
from entrepot.kernel.upkeep.backup.create import create
from entrepot.kernel.upkeep.backup.model import BackupFailed
from entrepot.kernel.upkeep.backup.programs import Programs
from entrepot.kernel.upkeep.backup.verify import verify
from tests.conftest import ROLE
from tests.kernel.upkeep.cellar import APPS, Cellar, cellar_of

OLDEST = Path("/usr/lib/postgresql/15/bin")
pytestmark = pytest.mark.skipif(not (OLDEST / "postgres").is_file(), reason="PostgreSQL 15 is not installed")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of PostgreSQL 15."""
    programs = Programs(OLDEST)
    folder = Path(tempfile.mkdtemp(prefix="entrepot-test-"))
    data, who = folder / "data", programs.other_user()
    programs.hand_over(folder)
    try:
        programs.run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-D", data, **who)
        options = f"-k {folder} -h '' -c fsync=off -c shared_buffers=32MB"
        programs.run("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start", **who)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            programs.run("pg_ctl", "-D", data, "-m", "immediate", "stop", **who)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def cellar(address: str) -> Iterator[Cellar]:
    asyncio.run(migrate.up(address, APPS, ROLE))
    with cellar_of(address, address) as made:
        yield made


async def test_a_full_backup_is_proven_and_an_incremental_one_is_refused_with_its_reason(cellar: Cellar) -> None:
    async with cellar.archiving():
        await create(cellar.settings())
        with pytest.raises(BackupFailed, match="PostgreSQL 15 has no incremental backups"):
            await create(cellar.settings(), incremental=True)
        await cellar.commit("in the WAL")
        proof = await verify(cellar.settings(), APPS, patience=20)
    assert proof.findings == ()
    assert proof.tables >= 25
