"""A second contract on a chain: only beside one that holds nothing, because both would number their orders alike."""

import pytest

from entrepot.commands.chain import carry_out
from entrepot.console import Failed
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.deploy import ESCROW, Plan
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.db.database import Database
from tests.apps.escrow.chain.deals import buy
from tests.bazaar import Bazaar
from tests.conftest import TestDatabase, settings_for


async def test_no_second_contract_comes_beside_one_that_holds_orders(
    doors: Database, market: Bazaar, indexer: Indexer, database: TestDatabase
) -> None:
    settings, deployer = settings_for(database, chains=(market.settings,)), market.node.accounts[0]
    plan = Plan(deployer.address, {}, test_tokens=True, again=True)
    await buy(market)
    await indexer.catch_up()
    with pytest.raises(Failed, match="is in use, with 1 on record"):
        await carry_out(settings, market.chain, deployer.private_key, plan)
    assert await noted(doors, market) == market.escrow


async def test_one_that_holds_nothing_is_left_for_another(
    doors: Database, market: Bazaar, database: TestDatabase
) -> None:
    settings, deployer = settings_for(database, chains=(market.settings,)), market.node.accounts[0]
    plan = Plan(deployer.address, {}, test_tokens=True, again=True)
    await carry_out(settings, market.chain, deployer.private_key, plan)
    assert await noted(doors, market) != market.escrow


async def noted(doors: Database, market: Bazaar) -> str | None:
    """The contract that orders are made with."""
    async with doors.read() as db:
        found = await registry.find(db, market.chain, ESCROW)
    return found and found.address
