"""A chain with both contracts, the mirrors of both, and disputes that an arbitrator can be drawn for."""

from collections.abc import AsyncIterator

import pytest

from entrepot.apps.escrow.tasks import escrow_indexer, pool_indexer
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.db.database import Database
from tests import bazaar
from tests.apps.escrow.test_mirror import DELIVERY, ONE, buy
from tests.bazaar import Bazaar
from tests.conftest import TestDatabase, settings_for


@pytest.fixture
async def doors(database: TestDatabase) -> AsyncIterator[Database]:
    """The server's way into this test's database."""
    async with Database(database.url, settings_for(database)) as made:
        yield made


@pytest.fixture
async def market(doors: Database) -> AsyncIterator[Bazaar]:
    """The contracts."""
    async with bazaar.opened(doors) as made:
        yield made


@pytest.fixture
async def chains(market: Bazaar) -> AsyncIterator[Chains]:
    """The chain as the house has it."""
    async with Chains([market.settings]) as made:
        yield made


@pytest.fixture
async def mirrors(doors: Database, chains: Chains, market: Bazaar) -> list[Indexer]:
    """The pool's and the escrow's."""
    made = [await find(doors, chains, market.chain) for find in (pool_indexer, escrow_indexer)]
    return [each for each in made if each is not None]


async def catch_up(mirrors: list[Indexer]) -> None:
    """Reads all that there is."""
    for each in mirrors:
        await each.catch_up()


async def dispute(market: Bazaar) -> int:
    """An order of ten tokens between the first two parties, disputed; its number."""
    seller, buyer = market.parties[0].address, market.parties[1].address
    number = await buy(market, 10 * ONE)
    await market.act(seller, "sellerConfirmDelivery", number, DELIVERY)
    await market.act(buyer, "openDispute", number)
    return number
