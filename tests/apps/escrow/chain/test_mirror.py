"""The mirror of P2PEscrow: whatever happens on the chain, the database says the same."""

import asyncio

import asyncpg

from entrepot.kernel.db.database import Database
from tests.apps.escrow.agreement import disagreements
from tests.apps.escrow.chain.deals import DAY, DELIVERY, ONE, buy, indexing
from tests.bazaar import Bazaar


async def test_every_status_that_the_contract_reaches_is_mirrored(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    seller, buyer = market.parties[0].address, market.parties[1].address
    numbers = [await buy(market, (10 + n) * ONE) for n in range(6)]
    await market.act(buyer, "cancelOrder", numbers[0])
    await market.act(seller, "cancelOrder", numbers[1])
    for number in numbers[2:5]:
        await market.act(seller, "sellerConfirmDelivery", number, DELIVERY)
    await market.act(buyer, "buyerConfirmReceived", numbers[2])
    await market.act(buyer, "openDispute", numbers[3])
    async with indexing(doors, market) as indexer:
        await indexer.catch_up()
        assert await disagreements(owner, market) == []
        await market.node.increase_time(3 * DAY)
        await market.act(buyer, "autoExpireOrder", numbers[5])
        await market.act(buyer, "autoReleaseToSeller", numbers[4])
        await market.node.increase_time(7 * DAY)
        await market.act(buyer, "autoResolveDispute", numbers[3])
        await indexer.catch_up()
    assert await disagreements(owner, market) == []
    statuses = [row[0] for row in await owner.fetch("SELECT status FROM escrow.orders ORDER BY onchain_order_id")]
    assert statuses == ["cancelled", "cancelled", "completed", "resolved_buyer", "completed", "expired"]
    assert await owner.fetchval("SELECT cancelled_by FROM escrow.orders WHERE onchain_order_id = 2") == seller


async def test_a_reorganisation_takes_back_what_it_undid_and_orders_above_it_are_orphans(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    seller, buyer = market.parties[0].address, market.parties[1].address
    first = await buy(market)
    await market.act(seller, "sellerConfirmDelivery", first, DELIVERY)
    async with indexing(doors, market) as indexer:
        await indexer.catch_up()
        lost = await buy(market, 20 * ONE)
        await market.act(seller, "sellerConfirmDelivery", lost, DELIVERY)
        for number in (lost, first):
            await market.act(buyer, "buyerConfirmReceived", number)
        await indexer.catch_up()
        assert await disagreements(owner, market) == []
        assert await owner.fetchval("SELECT sum(total_sold) FROM escrow.products") == 2
        await market.reorg(4)
        await indexer.catch_up()
        assert await disagreements(owner, market) == []
        assert await owner.fetchval("SELECT status FROM escrow.orders WHERE onchain_order_id = 1") == "seller_confirmed"
        assert await owner.fetchval("SELECT sum(total_sold) FROM escrow.products") == 0, "no sale has been made"
        assert await owner.fetchval("SELECT count(*) FROM escrow.orders WHERE orphaned_at IS NOT NULL") == 1
        assert await buy(market, 30 * ONE) == lost
        await indexer.catch_up()
    assert await disagreements(owner, market) == []


async def test_who_writes_about_an_order_and_takes_long_does_not_hold_up_the_mirror(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    number, buyer = await buy(market), market.parties[1].address
    async with indexing(doors, market) as indexer:
        await indexer.catch_up()
        async with owner.transaction():  # as an upload of evidence to a slow store, or a message, does
            await owner.execute(
                "INSERT INTO escrow.messages (order_id, sender_wallet, ciphertext, nonce)"
                " SELECT id, buyer_wallet, '', '' FROM escrow.orders"
            )
            await market.act(buyer, "cancelOrder", number)
            await asyncio.wait_for(indexer.catch_up(), 3)
    assert await disagreements(owner, market) == []


async def test_two_indexers_at_once_apply_every_event_once(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    async with indexing(doors, market) as one, indexing(doors, market) as other:
        runs = [asyncio.create_task(one.run()), asyncio.create_task(other.run())]
        for _ in range(20):
            await buy(market)
        for _ in range(200):
            if not await disagreements(owner, market):
                break
            await asyncio.sleep(0.05)
        assert not any(run.done() for run in runs), "who comes second waits; it does not fail"
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
    assert await disagreements(owner, market) == []
