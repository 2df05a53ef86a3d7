"""What every profile must say of its owner, counted in Python from orders and reviews by the words of the rules."""

from collections import Counter
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg

from entrepot.apps.escrow.operations.reputation import rebuild_all
from entrepot.kernel.db.database import Database

ORDERS = "SELECT id, status::text, buyer_wallet, seller_wallet, cancelled_by, orphaned_at FROM escrow.orders"
REVIEWS = "SELECT order_id, target_wallet, rating FROM escrow.reviews"
PROFILES = """
    SELECT wallet, reputation_score, total_trades, total_as_buyer, total_as_seller, rating, tier::text
    FROM escrow.user_profiles ORDER BY wallet
"""
NEVER_TRADED: dict[str, Any] = {
    "reputation_score": Decimal(0),
    "total_trades": 0,
    "total_as_buyer": 0,
    "total_as_seller": 0,
    "rating": None,
    "tier": "new",
}


def model(orders: list[Mapping[str, Any]], reviews: list[Mapping[str, Any]], wallet: str) -> dict[str, Any]:
    """The numbers of one wallet."""
    standing = {order["id"]: order for order in orders if order["orphaned_at"] is None}
    count: Counter[str] = Counter()
    for order in standing.values():
        is_buyer, is_seller = order["buyer_wallet"] == wallet, order["seller_wallet"] == wallet
        count["bought"] += is_buyer and counts(order)
        count["sold"] += is_seller and counts(order)
        count["won"] += order["status"] == "resolved_buyer" and is_buyer
        count["won"] += order["status"] == "resolved_seller" and is_seller
        count["lost"] += order["status"] == "resolved_buyer" and is_seller
        count["lost"] += order["status"] == "resolved_seller" and is_buyer
        if order["status"] == "cancelled" and order["cancelled_by"] == wallet:
            count["cancelled as buyer" if is_buyer else "cancelled as seller"] += is_buyer or is_seller
    stars = [
        review["rating"]
        for review in reviews
        if review["target_wallet"] == wallet and review["order_id"] in standing and counts(standing[review["order_id"]])
    ]
    trades = count["bought"] + count["sold"]
    halves = 2 * trades + stars.count(5) - 6 * count["lost"] + 2 * count["won"]
    halves -= 4 * count["cancelled as seller"] + count["cancelled as buyer"]
    rating = (Decimal(sum(stars)) / len(stars)).quantize(Decimal("0.01"), ROUND_HALF_UP) if stars else None
    trusted = trades >= 100 and rating is not None and rating >= 4
    return {
        "reputation_score": max(Decimal("-9999.99"), min(Decimal("9999.99"), Decimal(halves) / 2)),
        "total_trades": trades,
        "total_as_buyer": count["bought"],
        "total_as_seller": count["sold"],
        "rating": rating,
        "tier": "trusted" if trusted else "standard" if trades >= 10 else "new",
    }


def counts(order: Mapping[str, Any]) -> bool:
    """Whether it is a trade."""
    return order["status"] in {"completed", "resolved_buyer", "resolved_seller"}


async def standings(owner: asyncpg.Connection) -> dict[str, dict[str, Any]]:
    """What the profiles say."""
    return {row["wallet"]: {name: row[name] for name in NEVER_TRADED} for row in await owner.fetch(PROFILES)}


async def wrong(owner: asyncpg.Connection) -> dict[str, Any]:
    """Profiles that do not say what they should, each with what it says and what it should."""
    async with owner.transaction(isolation="repeatable_read"):
        orders, reviews = await owner.fetch(ORDERS), await owner.fetch(REVIEWS)
        found = await standings(owner)
    should = {wallet: model(orders, reviews, wallet) for wallet in found}
    return {wallet: (says, should[wallet]) for wallet, says in found.items() if says != should[wallet]}


async def settled(owner: asyncpg.Connection, doors: Database) -> None:
    """The profiles are right, and counting them anew changes none of them."""
    assert await wrong(owner) == {}
    before = await owner.fetch("SELECT * FROM escrow.user_profiles ORDER BY wallet")
    assert (await rebuild_all(doors)).changed == 0
    assert await owner.fetch("SELECT * FROM escrow.user_profiles ORDER BY wallet") == before
