"""After an outage: the API's times are the contract's, whenever the mirror read them, and two keepers do no harm."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from eth_account import Account

from entrepot.apps.escrow.operations.keeper import KEEPER, keep_time
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.chain.keys import keep_key
from entrepot.kernel.db.database import Database
from entrepot.kernel.vault import Vault
from tests.apps.escrow.agreement import disagreements
from tests.apps.escrow.chain.deals import DAY, DELIVERY, buy
from tests.apps.escrow.conftest import Caller, Market, opened_market
from tests.bazaar import Bazaar
from tests.conftest import TestDatabase

VAULT = Vault({"test": bytes(32)})


@dataclass
class Place:
    """A chain, a server, and a mirror and a keeper that work only when they are told to."""

    bazaar: Bazaar
    market: Market
    doors: Database
    chains: Chains
    indexer: Indexer

    async def keeper(self) -> None:
        """A round of the keeper, and the mirror of what it did."""
        await keep_time(self.doors, self.chains, VAULT)
        await self.bazaar.node.mine(1)
        await self.indexer.catch_up()

    async def told(self) -> dict[int, dict[str, Any]]:
        """The buyer's orders as the API shows them, by the contract's number."""
        buyer = Caller(self.market.http, Account.from_key(self.bazaar.parties[1].private_key))
        await buyer.sign_in(buyer.key)
        return {each["onchain_order_id"]: each for each in (await buyer.get("orders")).body["items"]}


@pytest.fixture
async def place(
    database: TestDatabase, doors: Database, market: Bazaar, chains: Chains, indexer: Indexer
) -> AsyncIterator[Place]:
    async with doors.write() as db:
        await keep_key(db, VAULT, KEEPER, Account.from_key(market.parties[5].private_key))
    async with opened_market(database, chains=(market.settings,)) as house:
        yield Place(market, house, doors, chains, indexer)


def unix(moment: str | None) -> int:
    """A time of the API in seconds; 0 for none."""
    return 0 if moment is None else int(datetime.fromisoformat(moment).timestamp())


async def contract_says(place: Place, number: int) -> tuple[int, int]:
    """Both deadlines of an order, by the contract."""
    order = await place.bazaar.call("getOrder", number)
    return order.seller_deadline, order.release_deadline


async def test_after_an_outage_the_deadlines_are_the_contract_s(place: Place) -> None:
    kept, silent = await buy(place.bazaar), await buy(place.bazaar)
    await place.indexer.catch_up()
    seller = place.bazaar.parties[0].address
    await place.bazaar.node.increase_time(DAY - 120)  # nothing of ours runs from here on
    await place.bazaar.act(seller, "sellerConfirmDelivery", kept, DELIVERY)
    confirmed_at = (await place.bazaar.node.rpc.block()).timestamp
    missed = await buy(place.bazaar)
    await place.bazaar.node.increase_time(2 * DAY)
    await place.indexer.catch_up()  # and here everything runs again
    told = await place.told()
    assert {number: each["status"] for number, each in told.items()} == {
        kept: "seller_confirmed",
        silent: "created",
        missed: "created",
    }
    for number, each in told.items():
        assert (unix(each["seller_deadline"]), unix(each["release_deadline"])) == await contract_says(place, number)
    assert unix(told[kept]["seller_confirmed_at"]) == confirmed_at
    assert unix(told[kept]["release_deadline"]) == confirmed_at + 3 * DAY, "the outage took nothing from it"
    await place.keeper()
    assert [(await place.told())[number]["status"] for number in (kept, silent, missed)] == [
        "seller_confirmed",
        "expired",
        "expired",
    ]


async def test_the_buyer_s_time_is_neither_longer_nor_shorter_for_an_outage(place: Place) -> None:
    number = await buy(place.bazaar)
    await place.bazaar.act(place.bazaar.parties[0].address, "sellerConfirmDelivery", number, DELIVERY)
    await place.bazaar.node.increase_time(3 * DAY - 60)
    await place.indexer.catch_up()
    await place.keeper()
    assert (await place.told())[number]["status"] == "seller_confirmed", "a minute is left"
    await place.bazaar.node.increase_time(120)
    await place.indexer.catch_up()
    await place.keeper()
    assert (await place.told())[number]["status"] == "completed"


async def test_two_keepers_at_once_end_every_order_once(place: Place, owner: asyncpg.Connection) -> None:
    numbers = [await buy(place.bazaar) for _ in range(8)]
    await place.bazaar.node.increase_time(DAY + 60)
    await place.indexer.catch_up()
    await place.bazaar.node.rpc.call("evm_setAutomine", [False])
    async with Chains([place.bazaar.settings]) as other:
        for _ in range(2):
            await asyncio.gather(*(keep_time(place.doors, chains, VAULT) for chains in (place.chains, other)))
        await place.bazaar.node.mine(1)
        await place.indexer.catch_up()
        await asyncio.gather(*(keep_time(place.doors, chains, VAULT) for chains in (place.chains, other)))
    rows = await owner.fetch("SELECT purpose, state FROM core.chain_transactions ORDER BY nonce")
    assert sorted(tuple(row) for row in rows) == [(f"autoExpireOrder {number}", "mined") for number in numbers]
    statuses = {row[0] for row in await owner.fetch("SELECT status::text FROM escrow.orders")}
    assert statuses == {"expired"}
    assert await disagreements(owner, place.bazaar) == []
