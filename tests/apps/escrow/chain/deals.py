"""What the tests of the mirrors do on a chain: they buy, dispute, and read what the contracts have said."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from entrepot.apps.escrow.tasks import escrow_indexer, pool_indexer
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.db.database import Database
from tests.bazaar import Bazaar

GOOD = hashlib.sha256(b"a good").digest()
DELIVERY = hashlib.sha256(b"sealed").digest()
ONE = 10**6
DAY = 86_400


async def buy(market: Bazaar, amount: int = 10 * ONE, reference: bytes = bytes(32)) -> int:
    """An order by the second party from the first, direct unless it refers to a reservation; its number."""
    number: int = await market.call("nextOrderId")
    seller, buyer = market.parties[0].address, market.parties[1].address
    await market.act(buyer, "createOrder", seller, market.token(), amount, GOOD, reference)
    return number


async def dispute(market: Bazaar) -> int:
    """An order of ten tokens between the first two parties, disputed; its number."""
    seller, buyer = market.parties[0].address, market.parties[1].address
    number = await buy(market, 10 * ONE)
    await market.act(seller, "sellerConfirmDelivery", number, DELIVERY)
    await market.act(buyer, "openDispute", number)
    return number


@asynccontextmanager
async def indexing(doors: Database, market: Bazaar) -> AsyncIterator[Indexer]:
    """The mirror of the escrow, with a way to the chain of its own."""
    async with Chains([market.settings]) as chains:
        indexer = await escrow_indexer(doors, chains, market.chain)
        assert indexer is not None
        yield indexer


async def mirror_pool(doors: Database, market: Bazaar) -> None:
    """Reads what the pool has said so far."""
    async with Chains([market.settings]) as chains:
        pool = await pool_indexer(doors, chains, market.chain)
        assert pool is not None
        await pool.catch_up()


async def catch_up(mirrors: list[Indexer]) -> None:
    """Reads all that there is."""
    for each in mirrors:
        await each.catch_up()
