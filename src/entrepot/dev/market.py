"""Fills the market through its public interface: fifty sellers sign in and list what they sell, once."""

import asyncio
import hashlib
from decimal import Decimal

from eth_account import Account

from entrepot import console
from entrepot.client import Category, Client
from entrepot.dev.catalogue import Shop, shops

AT_ONCE = 8  # sellers who are at it at the same time


async def fill(url: str, domain: str) -> tuple[int, int]:
    """How many listings there are of how many sellers; only those that are missing are made.

    An interrupted run is made good: each seller's listings are looked at, and the idempotency key of each is its own.
    """
    market = shops()
    missing = await asyncio.gather(*(_missing(_seller(url, domain, shop), shop) for shop in market))
    total = sum(len(shop.goods) for shop in missing)
    count = sum(len(shop.goods) for shop in market)
    if not total:
        return count, len(market)
    places = asyncio.Semaphore(AT_ONCE)
    with console.bar("Filling the market", total, f"{total} products listed through the API") as bar:

        async def open_shop(shop: Shop) -> None:
            async with places:
                await _list(_seller(url, domain, shop), shop, bar)

        async with asyncio.TaskGroup() as group:
            for shop in missing:
                if shop.goods:
                    group.create_task(open_shop(shop))
    return count, len(market)


def _seller(url: str, domain: str, shop: Shop) -> Client:
    """Always the same wallet for the same shop."""
    seed = hashlib.sha256(f"entrepot demo {shop.name}".encode()).digest()
    return Client(url, Account.from_key(seed), domain=domain)


async def _missing(seller: Client, shop: Shop) -> Shop:
    """What of the shop is not listed yet."""
    async with seller:
        known = {card.title_preview async for card in seller.products.list(seller=seller.wallet)}
    return Shop(shop.name, [good for good in shop.goods if good.title_preview not in known])


async def _list(seller: Client, shop: Shop, bar: console.Bar) -> None:
    """Signs in, takes its name and lists its goods."""
    async with seller:
        await seller.sign_in()
        await seller.edit_profile(display_name=shop.name)
        for good in shop.goods:
            await seller.products.create(
                title=good.title_preview,
                description=good.description_preview,
                category=Category(good.category),
                price=Decimal(good.price_usdt),
                stock=good.stock,
                good=good.product_hash,
                key=f"demo {good.product_hash}",
            )
            bar.advance()
