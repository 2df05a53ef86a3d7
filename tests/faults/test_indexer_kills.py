"""The indexer killed at any instant, and blocks taken back under it: the database ends up as the contract is.

`make faults` runs it in full (FAULTS=full): 200 orders, 50 kills, 10 reorganisations of depth 1 to 12.
"""

import asyncio
import os
import random
import sys
from dataclasses import dataclass

import asyncpg
import msgspec
import pytest

from entrepot.apps.escrow.operations.reputation import rebuild_all
from entrepot.kernel.db.database import Database
from entrepot.kernel.wallet import ZERO
from tests import bazaar
from tests.apps.escrow.agreement import disagreements, pool_disagreements
from tests.bazaar import Bazaar
from tests.conftest import TestDatabase, settings_for

ACTS = (
    *("sellerConfirmDelivery", "buyerConfirmReceived", "cancelOrder", "openDispute", "autoReleaseToSeller"),
    *("drawArbitrator", "drawArbitrator", "resolveDispute", "autoResolveDispute"),
)
ACTOR = {"sellerConfirmDelivery": "seller", "buyerConfirmReceived": "buyer", "resolveDispute": "arbitrator"}
MORE = {"sellerConfirmDelivery": (bytes(range(32)),), "resolveDispute": (True,)}
HASH = bytes(range(32))


@dataclass(frozen=True)
class Size:
    """How much happens."""

    orders: int
    kills: int
    reorganisations: int


SIZE = Size(200, 50, 10) if os.environ.get("FAULTS") == "full" else Size(30, 6, 4)


class Follower:
    """The indexer in a process of its own, started again after each kill."""

    def __init__(self, database: TestDatabase, market: Bazaar) -> None:
        chains = msgspec.json.encode([market.settings]).decode()
        self.environment = {**os.environ, "DATABASE_URL": database.url, "ENTREPOT_CHAINS": chains}
        self.environment["ENTREPOT_VAULT_KEYS"] = '{"test": "' + "A" * 43 + '="}'
        self.chain = market.chain
        self.kills = 0

    async def start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.follower",
            self.chain,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"following\n"
        return process

    async def live_and_die(self, kills: int, dice: random.Random) -> None:
        """Killed at random instants, from before its first transaction to well into following."""
        for _ in range(kills):
            process = await self.start()
            await asyncio.sleep(dice.choice([0.0, 0.02, 0.05, 0.1, 0.2, 0.5]) * dice.random() * 2)
            process.kill()
            await process.wait()
            self.kills += 1

    async def finish(self, connection: asyncpg.Connection, market: Bazaar) -> list[str]:
        """Lets it follow in peace until it agrees, for at most a minute; answers what then still differs."""
        process = await self.start()
        try:
            for _ in range(300):
                wrong = [*await disagreements(connection, market), *await pool_disagreements(connection, market)]
                if not wrong:
                    return []
                await asyncio.sleep(0.2)
            return wrong
        finally:
            process.kill()
            await process.wait()


async def trade(market: Bazaar, follower: Follower, dice: random.Random) -> int:
    """Random orders and acts, legal and illegal, with reorganisations among them, spread over all the kills.

    Answers how many reorganisations there were.
    """
    reorganised = made = 0
    while made < SIZE.orders or follower.kills < SIZE.kills or reorganised < SIZE.reorganisations:
        if made * SIZE.kills > (follower.kills + 1) * SIZE.orders:
            await asyncio.sleep(0.02)
            continue
        seller, buyer = dice.sample(market.parties, 2)
        amount = dice.randint(1, 500) * 10**6
        await market.act(buyer.address, "createOrder", seller.address, market.token(), amount, HASH, dice.randbytes(32))
        made += 1
        for _ in range(dice.randint(0, 3)):
            await act(market, dice)
        if dice.random() < 0.5:
            await change_pool(market, dice)
        if dice.random() < 0.1:
            await market.node.increase_time(dice.choice([3_600, 90_000, 300_000, 605_000]))
        if reorganised * SIZE.kills < follower.kills * SIZE.reorganisations:
            await market.reorg(dice.randint(1, 12))
            reorganised += 1
    return reorganised


async def act(market: Bazaar, dice: random.Random) -> None:
    """One random call on one random order; the contract refuses what is not legal."""
    many = await market.call("nextOrderId") - 1
    if many < 1:
        return
    number = dice.randint(max(1, many - 20), many)
    order = await market.call("getOrder", number)
    function = dice.choice(ACTS)
    by = getattr(order, ACTOR.get(function, dice.choice(["seller", "buyer"])))
    await market.act(by if by != ZERO else order.buyer, function, number, *MORE.get(function, ()))


async def change_pool(market: Bazaar, dice: random.Random) -> None:
    """Somebody joins the pool, stakes more or leaves; the contract refuses what is not legal."""
    one = dice.choice(market.parties)
    how = dice.choice(["register", "register", "increaseStake", "withdraw"])
    await (market.leave_pool(one) if how == "withdraw" else market.stake(one, dice.randint(400, 900), how))


@pytest.mark.timeout(900)
async def test_whatever_is_killed_when_the_mirror_ends_up_as_the_contract(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"SEED={seed}")
    dice = random.Random(seed)
    async with Database(database.url, settings_for(database)) as doors, bazaar.opened(doors) as market:
        follower = Follower(database, market)
        async with asyncio.TaskGroup() as together:
            together.create_task(follower.live_and_die(SIZE.kills, random.Random(seed + 1)))
            trading = together.create_task(trade(market, follower, dice))
        reorganised = trading.result()
        wrong = await follower.finish(owner, market)
        orders = await owner.fetchval("SELECT count(*) FROM escrow.orders WHERE orphaned_at IS NULL")
        events = await owner.fetchval("SELECT count(*) FROM escrow.contract_events")
        rebuilt = await rebuild_all(doors)
    print(f"{orders} orders, {events} events, {follower.kills} kills, {reorganised} reorganisations")
    assert wrong == []
    assert rebuilt.changed == 0, "the profiles are what their orders make them"
    assert (follower.kills, reorganised) == (SIZE.kills, SIZE.reorganisations)
    assert await owner.fetchval("SELECT count(*) FROM escrow.products WHERE stock < 0") == 0
