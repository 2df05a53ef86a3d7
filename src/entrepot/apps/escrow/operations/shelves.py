"""What orders do to the sellers' stock: it falls when an order arrives and rises when the good comes back."""

from collections.abc import Sequence, Set

from entrepot.apps.escrow.caches import PRODUCT_LISTS
from entrepot.apps.escrow.model import PRODUCT, RELEASES_STOCK, SOLD, ProductEvent
from entrepot.apps.escrow.operations.fold import Mirrored
from entrepot.apps.escrow.store import mirror as store
from entrepot.apps.escrow.store.mirror import KeptOrder, Shelf
from entrepot.kernel.cache.busts import forget
from entrepot.kernel.db.doors import Write


async def settle(db: Write, orders: Sequence[tuple[KeptOrder, Mirrored | None]], fresh: Set[int] = frozenset()) -> None:
    """Moves the stock as the orders moved; `fresh` are the contract's numbers of those that begin here.

    Stock is never negative: orders that came around the API, or after their reservation had run out, are counted as
    oversold where there is no unit, and what comes back is theirs before it is for sale again. So it does not matter
    in which order the moves are read, nor whether what a reorganisation took back was ever seen.
    """
    touched = sorted({row.product_id for row, _ in orders})
    shelves = {shelf.id: shelf for shelf in await db.all(Shelf, store.PRODUCTS, ids=touched)}
    before = {shelf.id: (shelf.stock, shelf.oversold, shelf.total_sold) for shelf in shelves.values()}
    for row, order in orders:
        move(shelves[row.product_id], row, order, is_fresh=row.onchain_order_id in fresh)
    changed = [each for each in shelves.values() if (each.stock, each.oversold, each.total_sold) != before[each.id]]
    if changed:
        await forget(db, PRODUCT_LISTS)
        await db.run(
            store.SET_PRODUCTS,
            ids=[shelf.id for shelf in changed],
            stocks=[shelf.stock for shelf in changed],
            oversold=[shelf.oversold for shelf in changed],
            sold=[shelf.total_sold for shelf in changed],
            statuses=[shelf.status for shelf in changed],
        )


def move(shelf: Shelf, row: KeptOrder, order: Mirrored | None, *, is_fresh: bool) -> None:
    """One order's move on its product's shelf."""
    wanted = not is_fresh and row.status not in RELEASES_STOCK
    wants = order is not None and order.status not in RELEASES_STOCK
    if wants and not wanted:
        take(shelf)
    elif wanted and not wants:
        give_back(shelf)
    is_sold = order is not None and order.status in SOLD
    shelf.total_sold += int(is_sold) - int(row.status in SOLD)
    event = ProductEvent.RESTOCK if shelf.stock else ProductEvent.SELL_OUT
    if PRODUCT.takes(shelf.status, event):
        shelf.status = PRODUCT.after(shelf.status, event)


def take(shelf: Shelf) -> None:
    """A unit, or the promise of one."""
    if shelf.stock:
        shelf.stock -= 1
    else:
        shelf.oversold += 1


def give_back(shelf: Shelf) -> None:
    """A unit, to whom one was promised or to the shelf."""
    if shelf.oversold:
        shelf.oversold -= 1
    else:
        shelf.stock += 1
