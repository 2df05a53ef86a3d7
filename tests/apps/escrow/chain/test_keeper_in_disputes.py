"""The keeper in disputes: arbitrators are drawn and replaced, and what nobody ruled on is ended, in time."""

import asyncpg
import pytest
from eth_account import Account

from entrepot.apps.escrow.operations.keeper import KEEPER, keep_time
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.chain.keys import keep_key
from entrepot.kernel.db.database import Database
from entrepot.kernel.vault import Vault
from tests.apps.escrow.agreement import disagreements, pool_disagreements
from tests.apps.escrow.chain.deals import DAY, catch_up, dispute
from tests.bazaar import Bazaar

VAULT = Vault({"test": bytes(32)})
SENT = "SELECT purpose FROM core.chain_transactions ORDER BY nonce"
ORDER = "SELECT status::text, arbitrator_wallet FROM escrow.orders"


class Keeping:
    """The keeper's rounds, with the mirrors between them."""

    def __init__(self, doors: Database, chains: Chains, market: Bazaar, mirrors: list[Indexer]) -> None:
        self.doors, self.chains, self.market, self.mirrors = doors, chains, market, mirrors

    async def rounds(self, many: int = 1, *, blocks: int = 7) -> None:
        """Rounds of the keeper, each some blocks after the other."""
        for _ in range(many):
            await self.market.node.mine(blocks)
            await catch_up(self.mirrors)
            await keep_time(self.doors, self.chains, VAULT)
            await self.market.node.mine(1)
            await catch_up(self.mirrors)


@pytest.fixture
async def keeping(doors: Database, chains: Chains, market: Bazaar, mirrors: list[Indexer]) -> Keeping:
    async with doors.write() as db:
        await keep_key(db, VAULT, KEEPER, Account.from_key(market.parties[5].private_key))
    return Keeping(doors, chains, market, mirrors)


async def test_it_draws_once_the_block_is_past_and_only_once(
    keeping: Keeping, market: Bazaar, owner: asyncpg.Connection
) -> None:
    await market.stake(market.parties[2], 500)
    await dispute(market)
    await catch_up(keeping.mirrors)
    await keeping.rounds(blocks=2)
    assert await owner.fetch(SENT) == [], "the block that decides is not past"
    await keeping.rounds(3)
    assert tuple(await owner.fetchrow(ORDER)) == ("disputed", market.parties[2].address)
    assert [row[0] for row in await owner.fetch(SENT)] == ["drawArbitrator 1"]


async def test_it_pays_for_no_draw_that_finds_nobody(
    keeping: Keeping, market: Bazaar, owner: asyncpg.Connection
) -> None:
    await market.stake(market.parties[0], 500)
    await dispute(market)
    await keeping.rounds(2)
    assert await owner.fetch(SENT) == [], "there is only a party in the pool"
    await market.stake(market.parties[2], 500)
    await keeping.rounds(3)
    drawn = await owner.fetchval("SELECT arbitrator_wallet FROM escrow.orders")
    assert drawn == market.parties[2].address


async def test_it_replaces_an_arbitrator_that_does_not_come_and_ends_what_nobody_rules_on(
    keeping: Keeping, market: Bazaar, owner: asyncpg.Connection
) -> None:
    members = {market.parties[2].address, market.parties[3].address}
    for each in market.parties[2:4]:
        await market.stake(each, 1_000)
    await dispute(market)
    await keeping.rounds(1)
    first = await owner.fetchval("SELECT arbitrator_wallet FROM escrow.orders")
    await market.node.increase_time(7 * DAY - 120)
    await keeping.rounds(1)
    assert await owner.fetchval("SELECT arbitrator_wallet FROM escrow.orders") == first, "there are two minutes left"
    await market.node.increase_time(120)
    await keeping.rounds(3)
    second = await owner.fetchval("SELECT arbitrator_wallet FROM escrow.orders")
    assert {first, second} == members
    await market.node.increase_time(7 * DAY)
    await keeping.rounds(3)
    assert await owner.fetchval("SELECT arbitrator_wallet FROM escrow.orders") is None, "both have missed"
    await market.node.increase_time(DAY)
    await keeping.rounds(2)
    assert tuple(await owner.fetchrow(ORDER)) == ("resolved_buyer", None)
    sent = [row[0].split()[0] for row in await owner.fetch(SENT)]
    assert sent == ["drawArbitrator"] * 4 + ["autoResolveDispute"]
    assert await disagreements(owner, market) == []
    assert await pool_disagreements(owner, market) == []
    assert await owner.fetchval("SELECT ruled_in_conflict FROM escrow.orders") is None
