"""A chain of the test's own with both contracts on it, and the mirrors of both."""

from collections.abc import AsyncIterator

import pytest

from entrepot.apps.escrow.tasks import escrow_indexer, pool_indexer
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.db.database import Database
from tests import bazaar
from tests.bazaar import Bazaar


@pytest.fixture
async def market(doors: Database) -> AsyncIterator[Bazaar]:
    """The contracts, and people who trade."""
    async with bazaar.opened(doors) as made:
        yield made


@pytest.fixture
async def chains(market: Bazaar) -> AsyncIterator[Chains]:
    """The chain as the house has it."""
    async with Chains([market.settings]) as made:
        yield made


@pytest.fixture
async def indexer(doors: Database, chains: Chains, market: Bazaar) -> Indexer:
    """The mirror of the escrow, which reads when it is told to."""
    made = await escrow_indexer(doors, chains, market.chain)
    assert made is not None
    return made


@pytest.fixture
async def mirrors(doors: Database, chains: Chains, market: Bazaar, indexer: Indexer) -> list[Indexer]:
    """The pool's and the escrow's."""
    pool = await pool_indexer(doors, chains, market.chain)
    assert pool is not None
    return [pool, indexer]
