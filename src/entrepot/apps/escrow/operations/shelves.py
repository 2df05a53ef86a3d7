"""What orders do to the sellers' stock: it falls when an order arrives and rises when the good comes back."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from entrepot.apps.escrow.model import PRODUCT, RELEASES_STOCK, SOLD, ProductEvent
from entrepot.apps.escrow.operations.fold import Mirrored
from entrepot.apps.escrow.store import mirror as store
from entrepot.apps.escrow.store.mirror import KeptOrder, Shelf
from entrepot.kernel.db.doors import Write


async def settle(db: Write, orders: Sequence[tuple[KeptOrder, Mirrored | None]]) -> dict[UUID, bool]:
    """Moves the stock as the orders moved and tells which orders hold a unit now.

    Stock is never negative: an order that came around the API, or after its reservation had run out, takes a unit only
    where there is one, and gives back only what it took.
    """
    touched = sorted({row.product_id for row, _ in orders})
    shelves = {shelf.id: shelf for shelf in await db.all(Shelf, store.PRODUCTS, ids=touched)}
    before = {shelf.id: (shelf.stock, shelf.total_sold) for shelf in shelves.values()}
    took = {row.id: move(shelves, row, order) for row, order in orders}
    changed = [shelf for shelf in shelves.values() if (shelf.stock, shelf.total_sold) != before[shelf.id]]
    if changed:
        await db.run(
            store.SET_PRODUCTS,
            ids=[shelf.id for shelf in changed],
            stocks=[shelf.stock for shelf in changed],
            sold=[shelf.total_sold for shelf in changed],
            statuses=[shelf.status for shelf in changed],
        )
    return took


def move(shelves: Mapping[UUID, Shelf], row: KeptOrder, order: Mirrored | None) -> bool:
    """One order's move on its product's shelf; whether it holds a unit afterwards."""
    shelf = shelves[row.product_id]
    was_sold = row.status in SOLD
    wants = order is not None and order.status not in RELEASES_STOCK
    holds = row.took_stock
    if wants and not holds and shelf.stock > 0:
        shelf.stock -= 1
        holds = True
    elif holds and not wants:
        shelf.stock += 1
        holds = False
    is_sold = order is not None and order.status in SOLD
    shelf.total_sold += int(is_sold) - int(was_sold)
    if shelf.stock == 0 and PRODUCT.takes(shelf.status, ProductEvent.SELL_OUT):
        shelf.status = PRODUCT.after(shelf.status, ProductEvent.SELL_OUT)
    elif shelf.stock > 0 and PRODUCT.takes(shelf.status, ProductEvent.RESTOCK):
        shelf.status = PRODUCT.after(shelf.status, ProductEvent.RESTOCK)
    return holds
