"""A backup that takes longer than an hour is not begun again by the next hour's tick, on another worker."""

import asyncio
from datetime import timedelta

import pytest

from entrepot.kernel.db.database import Database
from entrepot.kernel.upkeep.alone import alone
from entrepot.kernel.upkeep.backup import server as server_of_backups
from entrepot.kernel.upkeep.backup import work
from entrepot.kernel.upkeep.backup.model import BackupFailed
from tests.kernel.upkeep.cellar import Cellar, cellar, server

__all__ = ["cellar", "server"]
ANOTHER = "UPDATE core.leases SET owner = gen_random_uuid(), expires_at = now() + interval '1 hour'"


async def test_one_worker_at_a_time_takes_the_backup_that_is_due(cellar: Cellar) -> None:
    settings = cellar.settings()
    async with Database(cellar.url, settings) as database:
        await asyncio.gather(*(work.hourly(settings, database) for _ in range(3)))
        assert len(cellar.place.backups()) == 1
        await work.hourly(settings, database)
        assert len(cellar.place.backups()) == 1, "and none is due any more"
    async with cellar.connected() as owner:
        assert await owner.fetchval("SELECT count(*) FROM core.leases WHERE name = 'backup'") == 0


async def test_who_loses_the_lease_ends_its_backup_and_says_so(cellar: Cellar) -> None:
    settings = cellar.settings()
    async with Database(cellar.url, settings) as database, cellar.connected() as owner:

        async def lose() -> None:
            async with alone(database, "backup", BackupFailed("busy"), BackupFailed, timedelta(seconds=0.6)):
                await owner.execute(ANOTHER)
                await asyncio.sleep(10)

        with pytest.raises(BackupFailed, match="lost the lease backup"):
            await lose()
        await work.hourly(settings, database)
        assert not list((cellar.folder / "backups").rglob("backup.json")), "another has it, and is not disturbed"
        await owner.execute("DELETE FROM core.leases")


async def test_a_server_that_goes_away_in_the_middle_is_told_and_no_crash(cellar: Cellar) -> None:
    async def ask() -> None:
        async with server_of_backups.connected(cellar.owner_url) as connection, cellar.connected() as owner:
            await owner.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await connection.fetchval("SELECT pg_sleep(1)")

    with pytest.raises(BackupFailed, match="the database went away"):
        await ask()
