"""The mirror of ArbitratorPool: stakes, draws, rulings and no-shows on a real chain, as the database tells them."""

from decimal import Decimal

import asyncpg
import pytest

from entrepot.apps.escrow.tasks import pool_indexer
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.db.database import Database
from tests import bazaar
from tests.apps.escrow.agreement import disagreements, pool_disagreements
from tests.apps.escrow.chain.deals import DAY, ONE, catch_up, dispute
from tests.bazaar import Bazaar

MEMBERS = "SELECT stake_amount, reputation, assigned, total_resolved, is_active FROM escrow.pool_members"
ROW = "SELECT stake_amount, reputation, total_resolved, total_earned, is_active FROM escrow.arbitrators"


async def row(owner: asyncpg.Connection, query: str, wallet: str) -> tuple[object, ...]:
    found = await owner.fetchrow(f"{query} WHERE wallet = $1", wallet)
    return () if found is None else tuple(found)


async def test_who_registers_stakes_more_and_leaves_is_mirrored_though_it_was_never_here(
    market: Bazaar, mirrors: list[Indexer], owner: asyncpg.Connection
) -> None:
    one, other = market.parties[2], market.parties[3]
    await market.stake(one, 500)
    await market.stake(other, 2_000)
    await market.stake(one, 100, "increaseStake")
    await catch_up(mirrors)
    assert await row(owner, ROW, one.address) == (600, 50, 0, 0, True)
    assert await row(owner, ROW, other.address) == (2_000, 50, 0, 0, True)
    await market.leave_pool(other)
    await catch_up(mirrors)
    assert await row(owner, MEMBERS, other.address) == (0, 50, 0, 0, False)
    assert await row(owner, ROW, other.address) == (2_000, 50, 0, 0, False), "the reference asks for 500 at least"
    await market.stake(other, 700)
    await catch_up(mirrors)
    assert await row(owner, ROW, other.address) == (700, 50, 0, 0, True)
    assert await pool_disagreements(owner, market) == []


async def test_a_ruling_raises_reputation_and_earns_five_hundredths(
    market: Bazaar, mirrors: list[Indexer], owner: asyncpg.Connection
) -> None:
    await market.stake(market.parties[2], 500)
    number = await dispute(market)
    drawn = await market.draw(number)
    await catch_up(mirrors)
    assert await row(owner, MEMBERS, drawn) == (500, 50, 1, 0, True)
    assert await owner.fetchval("SELECT arbitrator_wallet FROM escrow.orders") == drawn
    await market.act(drawn, "resolveDispute", number, True)
    await catch_up(mirrors)
    assert await row(owner, MEMBERS, drawn) == (500, 52, 0, 1, True)
    assert await row(owner, ROW, drawn) == (500, 52, 1, Decimal("0.5"), True)
    assert await owner.fetchval("SELECT ruled_in_conflict FROM escrow.orders") is False
    assert await pool_disagreements(owner, market) == []
    assert await disagreements(owner, market) == []


async def test_a_no_show_leaves_less_than_500_and_the_row_keeps_what_sufficed(
    market: Bazaar, mirrors: list[Indexer], owner: asyncpg.Connection
) -> None:
    late = market.parties[2]
    await market.stake(late, 500)
    number = await dispute(market)
    assert await market.draw(number) == late.address
    await market.node.increase_time(7 * DAY)
    await market.act(late.address, "drawArbitrator", number)
    await catch_up(mirrors)
    assert await row(owner, MEMBERS, late.address) == (450, 45, 0, 0, False)
    assert await row(owner, ROW, late.address) == (500, 45, 0, 0, False)
    await market.stake(late, 50, "increaseStake")
    await market.stake(market.parties[3], 600)
    await market.node.mine(6)
    await catch_up(mirrors)
    assert await row(owner, ROW, late.address) == (500, 45, 0, 0, True)
    assert await pool_disagreements(owner, market) == []


@pytest.mark.parametrize("pool_first", [True, False])
async def test_a_reorganisation_takes_back_stakes_and_rulings(
    market: Bazaar, mirrors: list[Indexer], owner: asyncpg.Connection, *, pool_first: bool
) -> None:
    order = mirrors if pool_first else mirrors[::-1]
    one = market.parties[2]
    await market.stake(one, 500)
    number = await dispute(market)
    await market.draw(number)
    await catch_up(order)
    await market.act(one.address, "resolveDispute", number, False)
    await market.stake(market.parties[3], 900)
    await catch_up(order)
    assert await row(owner, ROW, one.address) == (500, 52, 1, Decimal("0.5"), True)
    await market.reorg(3)
    await catch_up(order)
    assert await row(owner, ROW, one.address) == (500, 50, 0, 0, True)
    assert await row(owner, ROW, market.parties[3].address) == (), "it never registered after all"
    assert await owner.fetchval("SELECT ruled_in_conflict FROM escrow.orders") is None
    assert await pool_disagreements(owner, market) == []
    await market.act(one.address, "resolveDispute", number, True)
    await catch_up(order)
    assert await row(owner, ROW, one.address) == (500, 52, 1, Decimal("0.5"), True)
    assert await pool_disagreements(owner, market) == []


async def test_a_wallet_in_two_pools_has_one_row_and_each_pool_stays_right(
    doors: Database, market: Bazaar, mirrors: list[Indexer], owner: asyncpg.Connection
) -> None:
    async with bazaar.opened(doors, "bsc", 31_338) as second, Chains([second.settings]) as chains:
        beside = await pool_indexer(doors, chains, "bsc")
        assert beside is not None
        one = market.parties[2]
        assert second.parties[2].address == one.address
        await market.stake(one, 600)
        await second.stake(one, 800)
        await catch_up([*mirrors, beside])
        assert await row(owner, ROW, one.address) == (800, 50, 0, 0, True)
        await second.leave_pool(one)
        await catch_up([*mirrors, beside])
        assert await row(owner, ROW, one.address) == (600, 50, 0, 0, True)
        assert await pool_disagreements(owner, market) == []
        assert await pool_disagreements(owner, second) == []


async def test_one_who_ruled_though_it_had_traded_with_a_party_is_noted(
    market: Bazaar, mirrors: list[Indexer], owner: asyncpg.Connection
) -> None:
    one = market.parties[2]
    await market.stake(one, 500)
    number = await dispute(market)
    drawn = await market.draw(number)
    amount = 5 * ONE
    await market.act(drawn, "createOrder", market.parties[0].address, market.token(), amount, bytes(32), bytes(32))
    await market.act(drawn, "resolveDispute", number, True)
    await catch_up(mirrors)
    query = "SELECT ruled_in_conflict FROM escrow.orders WHERE onchain_order_id = $1"
    assert await owner.fetchval(query, number) is True
