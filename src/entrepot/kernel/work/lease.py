"""Leases: what only one process at a time may do, and who may take over when that process is gone."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic
from uuid import UUID

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.values import new_id

LOG = logging.getLogger("entrepot.work")
TAKE = Query("""
    INSERT INTO core.leases (name, owner, expires_at) VALUES (:name, :owner, now() + :lifetime)
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
    WHERE core.leases.owner = excluded.owner OR core.leases.expires_at < now()
""")
LEAVE = Query("DELETE FROM core.leases WHERE name = :name AND owner = :owner")


async def take(database: Database, name: str, owner: UUID, lifetime: timedelta) -> bool:
    """Takes or prolongs a lease; False while another process holds it."""
    async with database.write() as db:
        return await db.run(TAKE, name=name, owner=owner, lifetime=lifetime) == 1


@asynccontextmanager
async def held(database: Database, name: str, lifetime: timedelta) -> AsyncIterator[None]:
    """Waits for a lease, keeps it while the block runs, and cancels the block when it is lost.

    It is lost, too, when the database did not answer or refused for so long that another process may have taken it.
    """
    owner, pause = new_id(), lifetime.total_seconds() / 3
    while True:
        asked = monotonic()
        if await take(database, name, owner, lifetime):
            break
        await asyncio.sleep(pause)
    block = asyncio.current_task()
    assert block is not None

    async def prolong() -> None:
        ends = asked + lifetime.total_seconds()
        while ends - monotonic() > pause / 2:
            await asyncio.sleep(min(pause, ends - monotonic()) / 2)
            again = monotonic()
            try:
                async with asyncio.timeout(ends - again):
                    if not await take(database, name, owner, lifetime):
                        break
                ends = again + lifetime.total_seconds()
            except Exception as error:  # noqa: BLE001 - whatever it is, it may pass before the lease ends
                LOG.warning("the lease %s was not prolonged: %s", name, str(error) or type(error).__name__)
        block.cancel(f"lost the lease {name}")

    prolonging = asyncio.create_task(prolong())
    try:
        yield
    finally:
        prolonging.cancel()
        with suppress(asyncio.CancelledError):
            await prolonging
        async with database.write() as db:
            await db.run(LEAVE, name=name, owner=owner)
