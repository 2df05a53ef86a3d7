"""Reputation follows the trades: in the transaction that ends one, or takes its end back, both parties' counts move."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import asyncpg
import msgspec
import stamina

from entrepot.apps.escrow.caches import PRODUCT_LISTS, PROFILES
from entrepot.apps.escrow.model import OrderStatus
from entrepot.apps.escrow.operations.fold import Mirrored
from entrepot.apps.escrow.points import AS_BUYER, AS_SELLER, TRADES, earned
from entrepot.apps.escrow.store import reputation as store
from entrepot.apps.escrow.store.mirror import KeptOrder
from entrepot.apps.escrow.store.reputation import Change
from entrepot.kernel.cache.busts import forget
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write

AT_ONCE = 200  # profiles that a rebuild holds at a time: whoever ends a trade of theirs waits that long
End = tuple[OrderStatus, str | None]
"""The state of an order, and who cancelled it."""


async def settle(db: Write, orders: Sequence[tuple[KeptOrder, Mirrored | None]]) -> None:
    """Moves the parties' counts as the orders moved (None: the chain took the order back).

    Only differences are added, so that a trade costs as much for who has thousands as for who has none. Counted anew
    is who stands at the edge of what a score can be, and who was reviewed for an order that enters or leaves the
    trades again, which only a reorganisation does. Comes after the orders are written.
    """
    changes = differences(orders)
    if not changes:
        return
    wallets = [change.wallet for change in changes]
    held = await store.lock(db, wallets)
    await store.move(db, changes)
    await forget(db, PROFILES, wallets)
    turned = [row.id for row, order in orders if is_trade(row) != is_trade(order)]
    anew = {each.wallet for each in held if each.is_at_edge} | await store.reviewed(db, turned)
    if anew:
        await rebuild(db, sorted(anew))


async def rebuild(db: Write, wallets: Sequence[str]) -> int:
    """Counts the locked profiles anew; how many were not as they should be. Lists of products show ratings too."""
    wrong = await store.rebuild(db, wallets)
    if wrong:
        await forget(db, PROFILES, wallets)
        await forget(db, PRODUCT_LISTS)
    return wrong


def is_trade(order: KeptOrder | Mirrored | None) -> bool:
    """Whether it counts as a trade."""
    return order is not None and order.status in TRADES


def end_of(order: KeptOrder | Mirrored | None) -> End:
    """How it ended; an order that is not there is worth as much as a new one."""
    return (OrderStatus.CREATED, None) if order is None else (order.status, order.cancelled_by)


def differences(orders: Sequence[tuple[KeptOrder, Mirrored | None]]) -> list[Change]:
    """What the orders' moves mean for each wallet that they mean anything for."""
    bought: defaultdict[str, int] = defaultdict(int)
    sold: defaultdict[str, int] = defaultdict(int)
    points: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row, order in orders:
        was, now = end_of(row), end_of(order)
        trades = int(is_trade(order)) - int(is_trade(row))
        for wallet, side, count in ((row.buyer_wallet, AS_BUYER, bought), (row.seller_wallet, AS_SELLER, sold)):
            gained = earned(side, wallet, *now) - earned(side, wallet, *was)
            if gained or trades:
                count[wallet] += trades
                points[wallet] += gained
    return [Change(wallet, bought[wallet], sold[wallet], points[wallet]) for wallet in sorted(points)]


class Rebuilt(msgspec.Struct, frozen=True):
    """How many profiles were looked at, and how many were not what their orders and reviews make them."""

    profiles: int
    changed: int


async def rebuild_all(database: Database) -> Rebuilt:
    """Counts every profile anew, some at a time, each time in a transaction of its own; the market goes on meanwhile.

    What ends between two of them is added to what the one before it wrote, so nothing is lost or counted twice.
    """
    after, profiles, changed = "", 0, 0
    while True:
        wallets, wrong = await _rebuild_next(database, after)
        if not wallets:
            return Rebuilt(profiles, changed)
        after, profiles, changed = wallets[-1], profiles + len(wallets), changed + wrong


@stamina.retry(on=(asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError), attempts=10, timeout=120)
async def _rebuild_next(database: Database, after: str) -> tuple[list[str], int]:
    """The wallets that were next, and how many of them changed; a lock that is not to be had is tried for again."""
    async with database.write() as db:
        wallets = await store.lock_next(db, after, AT_ONCE)
        return wallets, await rebuild(db, wallets)
