"""The keeper and the shelves, on a real chain: what time does to orders, and what orders do to stock."""

from uuid import UUID

import asyncpg
from eth_account import Account

from entrepot.apps.escrow.operations.keeper import KEEPER, keep_time
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.chain.keys import keep_key
from entrepot.kernel.db.database import Database
from entrepot.kernel.values import new_id
from entrepot.kernel.vault import Vault
from tests.apps.escrow.agreement import disagreements
from tests.apps.escrow.chain.deals import DAY, DELIVERY, GOOD, ONE, buy
from tests.bazaar import Bazaar

PRICE = 25 * ONE
ADD_PROFILE = "INSERT INTO escrow.user_profiles (wallet, public_key) VALUES ($1, '') ON CONFLICT DO NOTHING"
ADD_PRODUCT = """
    INSERT INTO escrow.products (id, seller_wallet, title_preview, description_preview, category, price_usdt, stock,
        product_hash)
    VALUES ($1, $2, 'A good', 'Good', 'data', 25, $3, $4)
"""
ADD_RESERVATION = """
    INSERT INTO escrow.reservations (id, product_id, buyer_wallet, chain, token, amount, platform_fee, expires_at)
    VALUES ($1, $2, $3, 'ethereum', 'USDT', 25, 0.5, now() + interval '15 minutes')
"""
ADD_MESSAGE = "INSERT INTO escrow.messages (order_id, sender_wallet, ciphertext, nonce) VALUES ($1, $2, 'x', 'y')"
VAULT = Vault({"test": bytes(32)})


async def list_product(owner: asyncpg.Connection, market: Bazaar, stock: int) -> UUID:
    """A listing of the first party's."""
    seller = market.parties[0].address
    await owner.execute(ADD_PROFILE, seller)
    made = new_id()
    await owner.execute(ADD_PRODUCT, made, seller, stock, "0x" + GOOD.hex())
    return made


async def reserve(owner: asyncpg.Connection, market: Bazaar, product: UUID) -> UUID:
    """A reservation for the second party."""
    buyer = market.parties[1].address
    await owner.execute(ADD_PROFILE, buyer)
    made = new_id()
    await owner.execute(ADD_RESERVATION, made, product, buyer)
    return made


async def shelf(owner: asyncpg.Connection, product: UUID) -> tuple[int, str, int]:
    row = await owner.fetchrow("SELECT stock, status, total_sold FROM escrow.products WHERE id = $1", product)
    assert row is not None
    return row[0], row[1], row[2]


async def test_an_order_with_a_reservation_takes_its_id_and_its_unit(
    market: Bazaar, indexer: Indexer, owner: asyncpg.Connection
) -> None:
    product = await list_product(owner, market, 1)
    reservation = await reserve(owner, market, product)
    number = await buy(market, PRICE, reservation.bytes + bytes(16))
    await indexer.catch_up()
    row = await owner.fetchrow("SELECT id, product_id, is_direct FROM escrow.orders")
    assert row is not None
    assert tuple(row) == (reservation, product, False)
    assert await shelf(owner, product) == (0, "sold_out", 0)
    await market.act(market.parties[1].address, "cancelOrder", number)
    await indexer.catch_up()
    assert await shelf(owner, product) == (1, "active", 0)


async def test_someone_elses_reservation_or_price_makes_a_direct_order(
    market: Bazaar, indexer: Indexer, owner: asyncpg.Connection
) -> None:
    product = await list_product(owner, market, 5)
    reservation = await reserve(owner, market, product)
    await buy(market, PRICE - ONE, reservation.bytes + bytes(16))
    await buy(market, PRICE, reservation.bytes + bytes(16))
    await buy(market, PRICE, reservation.bytes + bytes(16))
    await indexer.catch_up()
    query = "SELECT id = $1 AS is_reserved, is_direct FROM escrow.orders ORDER BY onchain_order_id"
    rows = await owner.fetch(query, reservation)
    assert [tuple(row) for row in rows] == [(False, True), (True, False), (False, True)]
    assert await shelf(owner, product) == (2, "active", 0)


async def test_stock_is_never_negative_and_only_what_was_taken_comes_back(
    market: Bazaar, indexer: Indexer, owner: asyncpg.Connection
) -> None:
    product = await list_product(owner, market, 1)
    first, second = await buy(market, PRICE), await buy(market, PRICE)
    await indexer.catch_up()
    assert await shelf(owner, product) == (0, "sold_out", 0)
    await market.act(market.parties[1].address, "cancelOrder", second)
    await indexer.catch_up()
    assert await shelf(owner, product) == (0, "sold_out", 0)
    await market.act(market.parties[0].address, "sellerConfirmDelivery", first, DELIVERY)
    await market.act(market.parties[1].address, "buyerConfirmReceived", first)
    await indexer.catch_up()
    assert await shelf(owner, product) == (0, "sold_out", 1)


async def test_a_unit_that_comes_back_is_for_who_has_paid_and_got_none(
    market: Bazaar, indexer: Indexer, owner: asyncpg.Connection
) -> None:
    product = await list_product(owner, market, 1)
    first, second = await buy(market, PRICE), await buy(market, PRICE)
    for number, left in ((first, (0, "sold_out", 0)), (second, (1, "active", 0))):
        await market.act(market.parties[1].address, "cancelOrder", number)
        await indexer.catch_up()
        assert await shelf(owner, product) == left


async def test_an_order_of_a_good_that_was_never_listed_gets_a_hidden_listing(
    market: Bazaar, indexer: Indexer, owner: asyncpg.Connection
) -> None:
    await buy(market, PRICE)
    await indexer.catch_up()
    assert await disagreements(owner, market) == []
    assert [tuple(row) for row in await owner.fetch("SELECT status, stock FROM escrow.products")] == [("deleted", 0)]
    assert await owner.fetchval("SELECT is_direct FROM escrow.orders")


async def test_a_reorganisation_gives_the_unit_back_and_a_reservation_can_be_used_again(
    market: Bazaar, indexer: Indexer, owner: asyncpg.Connection
) -> None:
    product = await list_product(owner, market, 1)
    reservation = await reserve(owner, market, product)
    await buy(market, PRICE, reservation.bytes + bytes(16))
    await indexer.catch_up()
    order = await owner.fetchval("SELECT id FROM escrow.orders")
    buyer = market.parties[1].address
    await owner.execute(ADD_MESSAGE, order, buyer)
    await market.reorg(1)
    await indexer.catch_up()
    assert await shelf(owner, product) == (1, "active", 0)
    assert await owner.fetchval("SELECT orphaned_at IS NOT NULL FROM escrow.orders")
    assert await owner.fetchval("SELECT used_at IS NULL FROM escrow.reservations"), (
        "the unit is still kept for its buyer"
    )
    await buy(market, PRICE, reservation.bytes + bytes(16))
    await indexer.catch_up()
    assert await disagreements(owner, market) == []
    assert await owner.fetchval("SELECT id FROM escrow.orders WHERE orphaned_at IS NULL") == order
    assert await owner.fetchval("SELECT count(*) FROM escrow.messages WHERE order_id = $1", order) == 1
    assert await shelf(owner, product) == (0, "sold_out", 0)


async def test_the_keeper_ends_due_orders_and_the_database_changes_only_by_the_event(
    doors: Database, chains: Chains, market: Bazaar, indexer: Indexer, owner: asyncpg.Connection
) -> None:
    key = Account.from_key(market.parties[5].private_key)
    async with doors.write() as db:
        await keep_key(db, VAULT, KEEPER, key)
    late, quiet = await buy(market, PRICE), await buy(market, PRICE)
    await market.act(market.parties[0].address, "sellerConfirmDelivery", quiet, DELIVERY)
    await market.node.increase_time(DAY + 60)
    await indexer.catch_up()
    await keep_time(doors, chains, VAULT)
    statuses = "SELECT status FROM escrow.orders WHERE onchain_order_id = ANY($1) ORDER BY onchain_order_id"
    before = [row[0] for row in await owner.fetch(statuses, [late, quiet])]
    assert before == ["created", "seller_confirmed"]
    await keep_time(doors, chains, VAULT)
    await indexer.catch_up()
    assert [row[0] for row in await owner.fetch(statuses, [late, quiet])] == ["expired", "seller_confirmed"]
    await market.node.increase_time(3 * DAY)
    await indexer.catch_up()
    await keep_time(doors, chains, VAULT)
    await keep_time(doors, chains, VAULT)
    await market.node.mine(1)
    await indexer.catch_up()
    after = [row[0] for row in await owner.fetch(statuses, [late, quiet])]
    assert after == ["expired", "completed"]
    assert await disagreements(owner, market) == []
    sent = await owner.fetchval("SELECT count(*) FROM core.chain_transactions")
    assert sent == 2
