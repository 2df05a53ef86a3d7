"""What is counted over all chains together: a new seller's limits, and the last one of a good."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from eth_abi.abi import decode

from tests.apps.escrow.two_chains import TwoChains, two_chains
from tests.callers import refused
from tests.conftest import TestDatabase

BUYERS = 200


@pytest.fixture
async def town(database: TestDatabase) -> AsyncIterator[TwoChains]:
    async with two_chains(database) as made:
        yield made


async def test_a_new_seller_s_three_orders_a_day_are_counted_over_both_chains(town: TwoChains) -> None:
    young, buyer = await town.market.member(for_days=6), await town.market.member()
    product = (await young.lists(price_usdt="25", stock=9))["id"]
    for chain in town.chains:
        await town.endow(chain, [buyer])
        prepared = await buyer.prepares(product, chain)
        assert prepared.status == 201
        await town.buys(buyer, prepared.body, chain)
    await town.mirror()
    rows = await town.market.owner.fetch("SELECT chain::text, amount::text FROM escrow.orders ORDER BY chain::text")
    assert [tuple(row) for row in rows] == [("bsc", "25.000000"), ("ethereum", "25.000000")]
    assert (await buyer.prepares(product, "bsc")).status == 201, "the third, which is only reserved"
    for chain in town.chains:
        refused(await buyer.prepares(product, chain), 409, "new-seller-orders")


async def test_orders_around_the_api_count_against_a_new_seller_on_every_chain(town: TwoChains) -> None:
    young, buyer = await town.market.member(for_days=6), await town.market.member()
    product = (await young.lists(stock=9))["id"]
    await town.endow("bsc", [buyer], allow=True)
    await town.send("bsc", [town.around("bsc", buyer, young, 25) for _ in range(3)])
    await town.mirror()
    refused(await buyer.prepares(product, "ethereum"), 409, "new-seller-orders")


async def test_fifty_usdt_are_fifty_whatever_the_decimals(town: TwoChains) -> None:
    young, buyer = await town.market.member(for_days=6), await town.market.member()
    most = (await young.lists(price_usdt="50"))["id"]
    more = (await young.lists(price_usdt="50.000001"))["id"]
    for chain, decimals in (("ethereum", 6), ("bsc", 18)):
        prepared = await buyer.prepares(most, chain)
        assert prepared.status == 201
        data = bytes.fromhex(prepared.body["approval"]["data"][10:])
        assert decode(["address", "uint256"], data)[1] == 51 * 10**decimals
        refused(await buyer.prepares(more, chain), 409, "new-seller-amount")


async def test_of_two_hundred_buyers_of_the_last_one_on_two_chains_one_gets_it(town: TwoChains) -> None:
    seller = await town.market.member()
    product = (await seller.lists(stock=1))["id"]
    buyers = [await town.market.member() for _ in range(BUYERS)]
    place = {buyer.wallet: ("ethereum", "bsc")[n % 2] for n, buyer in enumerate(buyers)}
    answers = await asyncio.gather(*(buyer.prepares(product, place[buyer.wallet]) for buyer in buyers))
    assert sorted(answer.status for answer in answers) == [201] + [409] * (BUYERS - 1)
    won = next(n for n, answer in enumerate(answers) if answer.status == 201)
    for chain in town.chains:
        await town.endow(chain, [buyer for buyer in buyers if place[buyer.wallet] == chain])
    await town.buys(buyers[won], answers[won].body, place[buyers[won].wallet])
    await town.mirror()
    assert await town.market.owner.fetchval("SELECT buyer_wallet FROM escrow.orders") == buyers[won].wallet
    assert await oversold(town, product) == 0


async def test_of_two_hundred_who_go_around_the_api_on_two_chains_one_gets_the_last(town: TwoChains) -> None:
    seller = await town.market.member()
    product = (await seller.lists(stock=1))["id"]
    buyers = [town.market.stranger() for _ in range(BUYERS)]
    sides = {"ethereum": buyers[::2], "bsc": buyers[1::2]}
    for chain, side in sides.items():
        await town.endow(chain, side, allow=True)
        await town.send(chain, [town.around(chain, buyer, seller, 25) for buyer in side])
    await town.mirror()
    assert await town.market.owner.fetchval("SELECT count(*) FROM escrow.orders WHERE is_direct") == BUYERS
    assert await oversold(town, product) == BUYERS - 1
    shelf = await town.market.owner.fetchrow("SELECT stock, status::text FROM escrow.products WHERE id = $1", product)
    assert shelf is not None
    assert tuple(shelf) == (0, "sold_out")
    refused(await (await town.market.member()).prepares(product, "bsc"), 409, "wrong-state")


async def oversold(town: TwoChains, product: str) -> int:
    """How many orders found no unit."""
    found: int = await town.market.owner.fetchval("SELECT oversold FROM escrow.products WHERE id = $1", product)
    return found
