"""One run at a time, on any machine: who comes while another is at work is sent away, and does not wait."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from entrepot.kernel.db.database import Database
from entrepot.kernel.work.lease import held

LEASE = timedelta(seconds=15)


@asynccontextmanager
async def alone(
    database: Database, name: str, busy: Exception, lost: Callable[[str], Exception], lease: timedelta = LEASE
) -> AsyncIterator[None]:
    """Holds the lease while the block runs. Raises `busy` where another holds it, and `lost` where it was lost."""
    us = asyncio.current_task()
    assert us is not None
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(min(1.0, lease.total_seconds() / 3)):
                await stack.enter_async_context(held(database, name, lease))
        except TimeoutError:
            raise busy from None
        try:
            yield
        except asyncio.CancelledError as cancelled:
            if not str(cancelled).startswith("lost the lease"):
                raise
            us.uncancel()
            raise lost(str(cancelled)) from None
