"""Fills the market through its public interface: fifty sellers sign in and list what they sell, once."""

import asyncio

import aiohttp

from entrepot import console
from entrepot.dev.catalogue import Shop, shops
from entrepot.dev.visitor import Visitor

AT_ONCE = 8  # sellers who are at it at the same time


async def fill(http: aiohttp.ClientSession) -> tuple[int, int]:
    """How many listings there are of how many sellers; only those that are missing are made.

    An interrupted run is made good: each seller's listings are looked at, and the idempotency key of each is its own.
    """
    market = shops()
    sellers = [Visitor.of_seed(shop.name, f"entrepot demo {shop.name}", http) for shop in market]
    missing = await asyncio.gather(*(_missing(*each) for each in zip(sellers, market, strict=True)))
    total = sum(len(shop.goods) for shop in missing)
    count = sum(len(shop.goods) for shop in market)
    if not total:
        return count, len(market)
    places = asyncio.Semaphore(AT_ONCE)
    with console.bar("Filling the market", total, f"{total} products listed through the API") as bar:

        async def open_shop(seller: Visitor, shop: Shop) -> None:
            async with places:
                await _list(seller, shop, bar)

        async with asyncio.TaskGroup() as group:
            for seller, shop in zip(sellers, missing, strict=True):
                if shop.goods:
                    group.create_task(open_shop(seller, shop))
    return count, len(market)


async def _missing(seller: Visitor, shop: Shop) -> Shop:
    """What of the shop is not listed yet."""
    found = await seller.call("GET", f"escrow/products?seller={seller.address}&limit=100")
    known = {each["title_preview"] for each in found["items"]}
    return Shop(shop.name, [good for good in shop.goods if good.title_preview not in known])


async def _list(seller: Visitor, shop: Shop, bar: console.Bar) -> None:
    """Signs in, takes its name and lists its goods."""
    await seller.sign_in()
    await seller.call("PATCH", "escrow/profile", {"display_name": shop.name})
    for good in shop.goods:
        given = {name: getattr(good, name) for name in good.__struct_fields__}
        await seller.call("POST", "escrow/products", given, key=f"demo {good.product_hash}")
        bar.advance()
