"""Backups in a bucket: what a folder can, S3 can, as it is spoken by a server that holds to S3's own limits."""

import asyncio
from dataclasses import replace

import requests

from entrepot.kernel.upkeep.backup.create import create
from entrepot.kernel.upkeep.backup.place import PART
from tests.kernel.upkeep.cellar import KEYS, Cellar, cellar, server
from tests.kernel.upkeep.test_archives import bucket

__all__ = ["bucket", "cellar", "server"]
INCOMPRESSIBLE = (
    "CREATE TABLE public.noise AS SELECT gen_random_uuid() AS a, gen_random_uuid() AS b FROM generate_series(1, 300000)"
)


async def test_a_bucket_brings_back_a_full_backup_its_increment_and_the_wal(cellar: Cellar, bucket: str) -> None:
    assert (await asyncio.to_thread(requests.put, f"{bucket}/cellar", timeout=10)).ok
    there = replace(cellar, bucket="s3://cellar/of/the/house")
    settings = there.settings(backup_keys=KEYS)
    async with there.connected() as db:
        await db.execute(INCOMPRESSIBLE)
    async with there.archiving(settings):
        full = await create(settings)
        await there.commit("in the increment")
        await create(settings, incremental=True)
        await there.commit("in the WAL")
        await there.archived()
    assert full.stored > 1.5 * PART, "it was uploaded in parts"
    assert not list(there.folder.rglob("*.gz"))
    assert await there.restored(backup_keys=KEYS) == ["in the increment", "in the WAL"]
