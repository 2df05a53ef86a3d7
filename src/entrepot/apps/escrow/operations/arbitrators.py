"""What everyone may know of arbitrators."""

from typing import Annotated

from entrepot.apps.escrow.calls.arbitrators import ArbitratorPage, ListArbitrators
from entrepot.apps.escrow.store import arbitrators as store
from entrepot.kernel.db.doors import Json, Read


async def list_arbitrators(db: Read, ask: ListArbitrators) -> Annotated[Json, ArbitratorPage]:
    """List who may be drawn to rule on disputes, newest first."""
    return await store.page(db, ask)
