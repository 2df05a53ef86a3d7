"""Reputation follows the trades, there and back, whoever ends them at the same moment; and it can be counted anew."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from eth_account import Account

from entrepot.apps.escrow.operations.reputation import rebuild_all
from entrepot.apps.escrow.tasks import escrow_indexer
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.database import Database
from tests import bazaar
from tests.apps.escrow.conftest import Caller, Market, opened_market
from tests.apps.escrow.replay import ACTS, PEOPLE, Replay
from tests.apps.escrow.standings import NEVER_TRADED, settled, standings, wrong
from tests.bazaar import Bazaar
from tests.conftest import TestDatabase, settings_for
from tests.test_cli import shell

GOOD = hashlib.sha256(b"a good").digest()
DAY = 86_400
ADA, BOB, CEM = PEOPLE[:3]
BY_HAND = """
    INSERT INTO escrow.orders (onchain_order_id, chain, buyer_wallet, seller_wallet, product_id, token, amount,
        platform_fee, status, tx_hash_create, block_number, seller_deadline)
    SELECT n, 'base', $1, $2, (SELECT id FROM escrow.products LIMIT 1), 'USDT', 10, 0.1, 'completed', '0x00', 1, now()
    FROM generate_series(1, $3) n
"""
REVIEW_ALL = """
    INSERT INTO escrow.reviews (order_id, reviewer_wallet, target_wallet, rating)
    SELECT id, buyer_wallet, seller_wallet, $1 FROM escrow.orders ORDER BY id LIMIT $2
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture
async def doors(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database(database.url, settings_for(database, pool_size=8)) as made:
        yield made


@pytest.fixture
def replay(doors: Database) -> Replay:
    return Replay(doors)


def scores(found: dict[str, dict[str, Any]], *wallets: str) -> list[str]:
    return [f"{found[wallet]['reputation_score']:.1f}" for wallet in wallets]


@pytest.mark.parametrize(
    ("end", "by", "buyers", "sellers", "trades"),
    [
        ("completed", "", "1.0", "1.0", 1),
        ("resolved_buyer", "", "2.0", "-2.0", 1),
        ("resolved_seller", "", "-2.0", "2.0", 1),
        ("cancelled", ADA, "-0.5", "0.0", 0),
        ("cancelled", BOB, "0.0", "-2.0", 0),
        ("cancelled", CEM, "0.0", "0.0", 0),
        ("expired", "", "0.0", "0.0", 0),
        ("created", "", "0.0", "0.0", 0),
        ("seller_confirmed", "", "0.0", "0.0", 0),
        ("disputed", "", "0.0", "0.0", 0),
    ],
)
async def test_every_end_of_an_order_is_worth_what_the_rules_say_and_comes_back_with_it(
    replay: Replay, owner: asyncpg.Connection, end: str, by: str, buyers: str, sellers: str, trades: int
) -> None:
    await replay.apply(*replay.trade(CEM, PEOPLE[4], "created"))
    await replay.apply(*replay.trade(ADA, BOB, end, by))
    found = await standings(owner)
    assert scores(found, ADA, BOB) == [buyers, sellers]
    names = ("total_trades", "total_as_buyer", "total_as_seller")
    assert [found[ADA][name] for name in names] == [trades, trades, 0]
    assert [found[BOB][name] for name in names] == [trades, 0, trades]
    await settled(owner, replay.doors)
    await replay.back(100)
    assert list((await standings(owner)).values()) == [NEVER_TRADED] * 4
    await settled(owner, replay.doors)


async def test_an_order_that_is_gone_takes_its_review_along_and_mined_again_it_brings_it_back(
    replay: Replay, owner: asyncpg.Connection
) -> None:
    await replay.apply(*replay.trade(CEM, PEOPLE[4], "created"))
    told = []
    for _ in range(2):
        await replay.apply(*replay.trade(ADA, BOB, "completed"))
        if not told:
            await owner.execute(REVIEW_ALL.replace("ORDER BY", "WHERE status = 'completed' ORDER BY"), 5, 1)
            assert (await rebuild_all(replay.doors)).changed == 1
        told.append((await standings(owner))[BOB])
        await settled(owner, replay.doors)
        await replay.back(100)
        assert list((await standings(owner)).values()) == [NEVER_TRADED] * 4
        await settled(owner, replay.doors)
    assert told[0] == told[1]
    assert (told[1]["reputation_score"], told[1]["rating"]) == (Decimal("1.50"), Decimal("5.00"))


async def test_a_page_with_many_orders_of_the_same_people_counts_each_once(
    replay: Replay, owner: asyncpg.Connection
) -> None:
    ends = ("completed", "completed", "resolved_seller", "cancelled", "expired", "disputed") * 3
    await replay.apply(*(event for end in ends for event in replay.trade(ADA, BOB, end)))
    found = await standings(owner)
    assert scores(found, ADA, BOB) == ["-1.5", "12.0"]
    assert [found[wallet]["total_trades"] for wallet in (ADA, BOB)] == [9, 9]
    await settled(owner, replay.doors)


async def test_tiers_come_with_the_tenth_and_the_hundredth_trade_and_the_last_asks_for_a_rating(
    replay: Replay, owner: asyncpg.Connection
) -> None:
    async def tier() -> str:
        await settled(owner, replay.doors)
        return str((await standings(owner))[BOB]["tier"])

    async def trades(many: int) -> str:
        await replay.apply(*(event for _ in range(many) for event in replay.trade(ADA, BOB, "completed")))
        return await tier()

    assert [await trades(9), await trades(1), await trades(89), await trades(1)] == [
        "new", "standard", "standard", "standard",
    ]  # fmt: skip
    await owner.execute(REVIEW_ALL, 4, 1)
    assert (await rebuild_all(replay.doors)).changed == 1
    assert await tier() == "trusted"
    await replay.back(1)
    assert await tier() == "standard"
    await replay.apply(ACTS["complete"](100, ""))
    assert await tier() == "trusted"
    await owner.execute("UPDATE escrow.reviews SET rating = 3")
    assert (await rebuild_all(replay.doors)).changed == 1
    assert await tier() == "standard"


async def test_a_score_stops_at_what_its_column_holds_and_forgets_nothing_beyond(
    replay: Replay, owner: asyncpg.Connection
) -> None:
    await replay.apply(*replay.trade(ADA, BOB, "completed"))
    await owner.execute(BY_HAND, ADA, BOB, 9_999)
    assert (await rebuild_all(replay.doors)).changed == 2
    assert {found["reputation_score"] for found in (await standings(owner)).values()} == {Decimal("9999.99")}
    await replay.apply(*replay.trade(ADA, BOB, "completed"))
    await settled(owner, replay.doors)
    await replay.apply(*replay.trade(ADA, BOB, "cancelled", BOB))
    assert (await standings(owner))[BOB]["reputation_score"] == Decimal("9999.00")
    await settled(owner, replay.doors)


@pytest.fixture
async def market(doors: Database) -> AsyncIterator[Bazaar]:
    async with bazaar.opened(doors) as made:
        yield made


async def buy(market: Bazaar) -> int:
    number: int = await market.call("nextOrderId")
    seller, buyer = market.parties[0].address, market.parties[1].address
    await market.act(buyer, "createOrder", seller, market.token(), 10**7, GOOD, bytes(32))
    return number


async def test_what_happens_on_the_chain_is_what_the_profiles_say(
    doors: Database, market: Bazaar, owner: asyncpg.Connection
) -> None:
    seller, buyer = market.parties[0].address, market.parties[1].address
    numbers = [await buy(market) for _ in range(6)]
    async with Chains([market.settings]) as chains:
        indexer = await escrow_indexer(doors, chains, market.chain)
        assert indexer is not None

        async def now(*, so_far: tuple[str, str]) -> None:
            await indexer.catch_up()
            assert tuple(scores(await standings(owner), buyer, seller)) == so_far
            await settled(owner, doors)

        await now(so_far=("0.0", "0.0"))
        await market.act(buyer, "cancelOrder", numbers[0])
        await now(so_far=("-0.5", "0.0"))
        await market.act(seller, "cancelOrder", numbers[1])
        await now(so_far=("-0.5", "-2.0"))
        for number in numbers[2:5]:
            await market.act(seller, "sellerConfirmDelivery", number, GOOD)
        await market.act(buyer, "openDispute", numbers[3])
        await market.act(buyer, "buyerConfirmReceived", numbers[2])
        await now(so_far=("0.5", "-1.0"))
        await market.reorg(1)
        await now(so_far=("-0.5", "-2.0"))
        await market.node.increase_time(3 * DAY)
        await market.act(buyer, "autoExpireOrder", numbers[5])
        await market.act(buyer, "autoReleaseToSeller", numbers[4])
        await now(so_far=("0.5", "-1.0"))
        await market.node.increase_time(8 * DAY)
        await market.act(buyer, "autoResolveDispute", numbers[3])
        await now(so_far=("2.5", "-3.0"))
    found = (await standings(owner))[seller]
    assert (found["total_trades"], found["total_as_seller"], found["total_as_buyer"]) == (2, 2, 0)


async def test_a_reorganisation_takes_a_trade_s_review_back_and_brings_it_again(
    doors: Database, database: TestDatabase, market: Bazaar, owner: asyncpg.Connection
) -> None:
    seller, buyer = market.parties[0].address, market.parties[1].address
    number = await buy(market)
    await market.act(seller, "sellerConfirmDelivery", number, GOOD)
    await market.act(buyer, "buyerConfirmReceived", number)
    async with Chains([market.settings]) as chains, opened_market(database) as house:
        indexer = await escrow_indexer(doors, chains, market.chain)
        assert indexer is not None
        await indexer.catch_up()
        caller = Caller(house.http, Account.from_key(market.parties[1].private_key))
        assert (await caller.sign_in(caller.key)).status == 200
        order = await owner.fetchval("SELECT id FROM escrow.orders")
        assert (await caller.post(f"orders/{order}/reviews", rating=5)).status == 201
        shown = [await reputation(caller, seller)]
        await market.reorg(1)
        await indexer.catch_up()
        shown.append(await reputation(caller, seller))
        await settled(owner, doors)
        await market.act(buyer, "buyerConfirmReceived", number)
        await indexer.catch_up()
        shown.append(await reputation(caller, seller))
        await settled(owner, doors)
    assert shown == [("1.50", "5.00", 1, 1), ("0.00", None, 0, 0), ("1.50", "5.00", 1, 1)]


async def reputation(caller: Caller, wallet: str) -> tuple[str, str | None, int, int]:
    """As everyone sees it: score, rating, trades, reviews."""
    shown = (await caller.get(f"profile/{wallet}")).body
    reviews = (await caller.get(f"profile/{wallet}/reviews")).body["items"]
    return shown["reputation_score"], shown["rating"], shown["total_trades"], len(reviews)


async def test_mirrors_reviews_preparations_and_counting_anew_at_once_end_right_and_never_in_a_deadlock(
    doors: Database, bourse: Market, owner: asyncpg.Connection
) -> None:
    people = [await bourse.member(for_days=0) for _ in range(4)]
    listed = [await one.lists() for one in people]
    wallets = [one.wallet for one in people]
    reviewable = [await bourse.order(listed[n % 4], people[(n + 1) % 4], status="completed", chain="base")
                  for n in range(24)]  # fmt: skip
    await rebuild_all(doors)

    async def mirror(chain: str, turn: int) -> None:
        replay = Replay(doors, chain)
        for n in range(25):
            pairs = [(wallets[(n + k) % 4], wallets[(n + k + turn) % 4]) for k in range(4)]
            ends = ("completed", "cancelled", "resolved_seller", "resolved_buyer")
            await replay.apply(*(e for pair, end in zip(pairs, ends, strict=True) for e in replay.trade(*pair, end)))
            if n % 5 == 4:
                await replay.back(7)

    async def review(turn: int) -> None:
        for n, order in enumerate(reviewable):
            reviewer = people[(n + turn) % 4]
            assert (await reviewer.post(f"orders/{order}/reviews", rating=1 + n % 5)).status == 201

    async def prepare() -> None:
        for n in range(40):
            assert (await people[n % 4].prepares(listed[(n + 1) % 4]["id"])).status in {201, 409}

    async def count() -> None:
        for _ in range(20):
            await rebuild_all(doors)

    await asyncio.gather(mirror("ethereum", 1), mirror("bsc", 3), review(0), review(1), prepare(), count())
    await settled(owner, doors)
    assert await owner.fetchval(DEADLOCKS) == 0
    assert sum(found["total_trades"] for found in (await standings(owner)).values()) > 100


async def test_the_command_puts_right_what_is_wrong_tells_how_much_and_then_changes_nothing(
    database: TestDatabase, replay: Replay, owner: asyncpg.Connection, tmp_path: Any
) -> None:
    given = {"DATABASE_URL": database.url, "DATABASE_OWNER_URL": database.owner_url, "ENTREPOT_HOME": str(tmp_path)}
    for pair in pairwise(PEOPLE):
        await replay.apply(*replay.trade(*pair, "completed"))
    for column, value in {"total_trades": 7, "rating": 5, "tier": "'trusted'", "reputation_score": -3}.items():
        await owner.execute(f"UPDATE escrow.user_profiles SET {column} = {value} WHERE wallet = $1", ADA)
    assert set(await wrong(owner)) == {ADA}
    assert "Exit status" in (await asyncio.to_thread(shell, "escrow", "recompute", "--help")).stdout
    told = [await asyncio.to_thread(shell, "escrow", "recompute", **given) for _ in range(2)]
    assert [each.returncode for each in told] == [0, 0], told
    assert [each.stdout.strip() for each in told] == [
        "note: 1 of 6 profiles changed",
        "ok: 0 of 6 profiles changed",
    ]
    await settled(owner, replay.doors)


async def test_counting_anew_goes_through_every_profile_however_many_there_are(
    doors: Database, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "INSERT INTO escrow.user_profiles (wallet, public_key, total_trades, tier)"
        " SELECT '0x' || lpad(to_hex(n), 40, '0'), '', n % 2, 'standard' FROM generate_series(1, 1001) n"
    )
    found = await rebuild_all(doors)
    assert (found.profiles, found.changed) == (1001, 1001)
    await settled(owner, doors)
