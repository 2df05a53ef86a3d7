"""The audit: clean while the mirror is right, whatever the chain does, and one line for each thing that is not."""

import asyncio
from decimal import Decimal

import asyncpg
import pytest

from entrepot.apps.escrow.operations import audit as auditing
from entrepot.apps.escrow.operations import views
from entrepot.apps.escrow.operations.findings import ChainAudit, Difference
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings
from tests.apps.escrow.chain.deals import DAY, DELIVERY, GOOD, ONE, buy, indexing, mirror_pool
from tests.bazaar import Bazaar
from tests.conftest import free_port

DEAD = ChainSettings("bsc", 56, (f"http://127.0.0.1:{free_port()}",))
TAMPERED = [
    (1, "status = 'seller_confirmed'", {"status"}),
    (1, "amount = amount + 0.000001", {"amount"}),
    (1, "platform_fee = 0", {"platform_fee"}),
    (1, "buyer_wallet = (SELECT wallet FROM stranger)", {"buyer_wallet"}),
    (1, "seller_wallet = (SELECT wallet FROM stranger)", {"seller_wallet"}),
    (1, "arbitrator_wallet = (SELECT wallet FROM stranger)", {"arbitrator_wallet"}),
    (1, "token = 'USDC'", {"token"}),
    (1, "seller_deadline = seller_deadline + interval '1 second'", {"seller_deadline"}),
    (1, "is_direct = false", {"id"}),
    (2, "release_deadline = NULL", {"release_deadline"}),
    (2, "delivery_hash = NULL", {"delivery_hash"}),
    (3, "dispute_deadline = dispute_deadline - interval '1 second'", {"dispute_deadline"}),
    (3, "default_deadline = default_deadline - interval '1 second'", {"default_deadline"}),
    (3, "draw_block = draw_block + 1", {"draw_block"}),
]


@pytest.fixture
async def market(doors: Database, market: Bazaar) -> Bazaar:
    """The contracts; the pool, in which nobody is, has been mirrored."""
    await mirror_pool(doors, market)
    return market


async def audited(doors: Database, *chains: ChainSettings, every: bool = True) -> list[ChainAudit]:
    async with Chains(chains) as opened:
        compared: list[int] = []
        found = await auditing.audit(doors, opened, compared.append, every=every)
        assert sum(compared) == sum(each.orders for each in found)
        return found


async def audit(doors: Database, market: Bazaar, *, every: bool = True) -> ChainAudit:
    return (await audited(doors, market.settings, every=every))[0]


async def trade(market: Bazaar) -> None:
    """Orders that are created (1), seller_confirmed (2), disputed (3), completed (4), cancelled (5)."""
    seller, buyer = market.parties[0].address, market.parties[1].address
    for number in range(1, 6):
        assert await buy(market, (10 + number) * ONE) == number
    for number in (2, 3, 4):
        await market.act(seller, "sellerConfirmDelivery", number, DELIVERY)
    await market.act(buyer, "openDispute", 3)
    await market.act(buyer, "buyerConfirmReceived", 4)
    await market.act(seller, "cancelOrder", 5)


async def traded(doors: Database, market: Bazaar) -> None:
    """The same, mirrored."""
    await trade(market)
    async with indexing(doors, market) as indexer:
        await indexer.catch_up()


async def test_nothing_differs_after_trades_in_both_tokens_that_end_in_every_way(
    doors: Database, market: Bazaar
) -> None:
    await trade(market)
    seller, buyer = market.parties[0].address, market.parties[1].address
    await market.fund((market.parties[1],), "USDC")
    await market.act(buyer, "createOrder", seller, market.token("USDC"), 7 * ONE, GOOD, bytes(32))
    async with indexing(doors, market) as indexer:
        await indexer.catch_up()
        opened, every = await audit(doors, market, every=False), await audit(doors, market)
        assert (opened.is_well, opened.orders) == (True, 4)
        assert (every.is_well, every.orders) == (True, 6)
        await market.node.increase_time(8 * DAY)
        await market.act(buyer, "autoExpireOrder", 1)
        await market.act(buyer, "autoReleaseToSeller", 2)
        await market.act(buyer, "autoResolveDispute", 3)
        await indexer.catch_up()
    assert (await audit(doors, market, every=False)).orders == 1
    found = await audit(doors, market)
    assert (found.is_well, found.orders, found.block) == (True, 6, await market.node.rpc.head())


async def test_what_the_mirror_has_not_read_yet_is_no_difference(doors: Database, market: Bazaar) -> None:
    await traded(doors, market)
    reached = await market.node.rpc.head()
    await market.act(market.parties[1].address, "cancelOrder", 1)
    await buy(market)
    found = await audit(doors, market)
    assert (found.is_well, found.block, found.orders) == (True, reached, 5)


async def test_nothing_differs_while_the_chain_and_the_mirror_move(doors: Database, market: Bazaar) -> None:
    async with indexing(doors, market) as indexer:
        running = asyncio.create_task(indexer.run())
        for _ in range(10):
            await buy(market)
        while (found := await audit(doors, market)).fault:
            await asyncio.sleep(0.05)
        assert found.is_well
        for _ in range(15):
            number = await buy(market)
            assert (await audit(doors, market)).is_well
            await market.act(market.parties[1].address, "cancelOrder", number)
            assert (await audit(doors, market, every=False)).is_well
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_nothing_differs_after_a_reorganisation(doors: Database, market: Bazaar) -> None:
    await traded(doors, market)
    async with indexing(doors, market) as indexer:
        await buy(market)
        await market.act(market.parties[1].address, "cancelOrder", 1)
        await indexer.catch_up()
        await market.reorg(2)
        await indexer.catch_up()
    found = await audit(doors, market)
    assert (found.differences, found.fault, found.orders) == ([], "", 5)


async def test_a_block_that_was_reorganised_away_is_waited_for_until_the_mirror_has_seen_it(
    doors: Database, market: Bazaar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PAUSE", 0.05)
    await traded(doors, market)
    await market.reorg(2)
    found = await audit(doors, market)
    assert (found.differences, found.orders) == ([], 0)
    assert "which the mirror has reached" in found.fault
    monkeypatch.setattr(views, "PAUSE", 0.5)
    waiting = asyncio.create_task(audit(doors, market))
    await asyncio.sleep(0.2)
    async with indexing(doors, market) as indexer:
        await indexer.catch_up()
    assert (await waiting).is_well


@pytest.mark.parametrize(("number", "change", "fields"), TAMPERED, ids=[change for _, change, _ in TAMPERED])
async def test_every_field_that_was_tampered_with_is_found(
    doors: Database, market: Bazaar, owner: asyncpg.Connection, number: int, change: str, fields: set[str]
) -> None:
    await traded(doors, market)
    await owner.execute("INSERT INTO escrow.user_profiles (wallet, public_key) VALUES ($1, '')", "0x" + "9" * 40)
    stranger = "WITH stranger AS (SELECT wallet FROM escrow.user_profiles WHERE wallet LIKE '0x99999999%')"
    changed = await owner.execute(f"{stranger} UPDATE escrow.orders SET {change} WHERE onchain_order_id = {number}")
    assert changed == "UPDATE 1"
    found = await audit(doors, market, every=False)
    of_orders = [each for each in found.differences if each.order is not None]
    assert ({each.order for each in of_orders}, {each.field for each in of_orders}) == ({number}, fields)
    assert not found.is_well


async def test_a_difference_says_what_both_sides_say(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    await traded(doors, market)
    await owner.execute("UPDATE escrow.orders SET amount = 12 WHERE onchain_order_id = 1")
    await owner.execute("UPDATE escrow.orders SET status = 'completed' WHERE onchain_order_id = 2")
    held = await owner.fetchval(
        "SELECT sum(amount + platform_fee) FROM escrow.orders WHERE status IN ('created', 'disputed')"
    )
    fees = Decimal("0.22") + Decimal("0.24") + Decimal("0.26")
    sums = Difference(None, "openAmount of USDT", f"{held}", f"{Decimal(11 + 12 + 13) + fees:.6f}")
    amount = Difference(1, "amount", "12.000000", "11.000000")
    assert (await audit(doors, market, every=False)).differences == [sums, amount]
    status = Difference(2, "status", "completed", "seller_confirmed")
    assert (await audit(doors, market)).differences == [sums, amount, status]


async def test_orders_that_are_missing_are_named(doors: Database, market: Bazaar, owner: asyncpg.Connection) -> None:
    await traded(doors, market)
    await owner.execute("DELETE FROM escrow.orders WHERE onchain_order_id IN (4, 5)")
    expected = [Difference(None, "nextOrderId", "4", "6"), *(Difference(n, "order", "-", "exists") for n in (4, 5))]
    assert (await audit(doors, market, every=False)).differences == expected
    await owner.execute(
        "UPDATE escrow.orders SET orphaned_at = now(), onchain_order_id = -1 WHERE onchain_order_id = 2"
    )
    found = (await audit(doors, market)).differences
    assert found[:4] == [expected[0], Difference(2, "order", "-", "exists"), *expected[1:]]
    assert [each.field for each in found[4:]] == ["openAmount of USDT"]


async def test_an_order_that_the_contract_does_not_have_is_named(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    await traded(doors, market)
    columns = "chain, buyer_wallet, seller_wallet, product_id, token, amount, platform_fee, status, tx_hash_create"
    more = "seller_deadline, block_number"
    await owner.execute(
        f"INSERT INTO escrow.orders (onchain_order_id, {columns}, {more})"
        f" SELECT 6, {columns}, {more} FROM escrow.orders WHERE onchain_order_id = 5"
    )
    upcoming = Difference(None, "nextOrderId", "7", "6")
    assert (await audit(doors, market, every=False)).differences == [upcoming]
    assert (await audit(doors, market)).differences == [upcoming, Difference(6, "order", "cancelled", "-")]


async def test_pages_follow_each_other_without_a_gap(
    doors: Database, market: Bazaar, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "AT_ONCE", 2)
    await traded(doors, market)
    assert [(await audit(doors, market, every=every)).orders for every in (True, False)] == [5, 3]
    await owner.execute("UPDATE escrow.orders SET delivery_hash = $1 WHERE chain = 'ethereum'", "0x" + "0" * 64)
    found = await audit(doors, market)
    assert [each.order for each in found.differences] == [1, 2, 3, 4, 5]


async def test_a_chain_that_does_not_answer_is_told_and_hides_no_other(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    await traded(doors, market)
    await owner.execute("UPDATE escrow.orders SET platform_fee = 0 WHERE onchain_order_id = 1")
    cursor = "contract, last_block, last_hash, last_block_at"
    await owner.execute("INSERT INTO core.contracts SELECT 'bsc', name, address, decimals, block FROM core.contracts")
    await owner.execute(
        f"INSERT INTO escrow.event_sync_cursor (chain, {cursor}) SELECT 'bsc', {cursor} FROM escrow.event_sync_cursor"
    )
    dead, alive = await audited(doors, DEAD, market.settings)
    assert (dead.is_well, dead.block, dead.differences) == (False, None, [])
    assert "no endpoint of the chain could be used" in dead.fault
    assert [each.field for each in alive.differences] == ["openAmount of USDT", "platform_fee"]


async def test_where_nothing_can_be_compared_it_says_why(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    assert "nothing of it has been mirrored" in (await audit(doors, market)).fault
    bare, unknown = await audited(doors, DEAD, ChainSettings("polygon", 137, DEAD.endpoints))
    assert (bare.is_well, bare.contract) == (True, "")
    assert "knows no chain of that name" in unknown.fault
    await traded(doors, market)
    await owner.execute("UPDATE escrow.orders SET chain = 'bsc'")
    (bare,) = await audited(doors, DEAD)
    assert bare.fault == "there are 5 orders of it and no contract"
    await owner.execute("UPDATE core.contracts SET address = $1 WHERE name = 'P2PEscrow'", "0x" + "9" * 40)
    moved = "UPDATE escrow.event_sync_cursor SET contract = $1 WHERE contract = $2"
    await owner.execute(moved, "0x" + "9" * 40, market.escrow)
    assert "is there such a contract at this address?" in (await audit(doors, market)).fault
