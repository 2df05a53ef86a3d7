"""Outcomes: what the market says can be done and is paid, held against what the contract takes and pays."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import pytest
from eth_account import Account as Key

from entrepot.apps.escrow.acts import TERMS, Act
from entrepot.apps.escrow.model import OrderStatus
from entrepot.apps.escrow.tasks import escrow_indexer
from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.chain.rpc import RpcError
from entrepot.kernel.db.database import Database
from entrepot.main import House
from tests import court
from tests.apps.escrow.conftest import Caller, Market
from tests.bazaar import ESCROW, Bazaar, opened
from tests.callers import refused
from tests.conftest import TestDatabase, served, settings_for

HOUR = 3600
AMOUNT, LOCKED = 24_900_001, 25_398_001  # millionths; the second with 2 % of the first, rounded down
CALLS: dict[Act, tuple[Any, ...]] = {
    Act.CONFIRM_DELIVERY: ("sellerConfirmDelivery", b"\7" * 32),
    Act.CANCEL: ("cancelOrder",),
    Act.EXPIRE: ("autoExpireOrder",),
    Act.CONFIRM_RECEIPT: ("buyerConfirmReceived",),
    Act.RELEASE: ("autoReleaseToSeller",),
    Act.OPEN_DISPUTE: ("openDispute",),
    Act.DRAW_ARBITRATOR: ("drawArbitrator",),
    Act.SUBMIT_EVIDENCE: ("submitEvidence", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
    Act.RULE_FOR_BUYER: ("resolveDispute", True),
    Act.RULE_FOR_SELLER: ("resolveDispute", False),
    Act.RULE_BY_DEFAULT: ("autoResolveDispute",),
}
DISPUTED = (Act.CONFIRM_DELIVERY, Act.OPEN_DISPUTE)
DRAWN = (*DISPUTED, 6, Act.DRAW_ARBITRATOR)
WAYS: dict[str, tuple[Act | int | str, ...]] = {
    "cancelled": (Act.CANCEL,),
    "expired": ("24", Act.EXPIRE),
    "confirmed": (Act.CONFIRM_DELIVERY, Act.CONFIRM_RECEIPT),
    "released": (Act.CONFIRM_DELIVERY, "72", Act.RELEASE),
    "ruled for the buyer": (*DRAWN, Act.SUBMIT_EVIDENCE, Act.RULE_FOR_BUYER),
    "ruled for the seller": (*DRAWN, Act.RULE_FOR_SELLER),
    "never drawn": (*DISPUTED, "168", Act.RULE_BY_DEFAULT),
    "never ruled": (*DRAWN, "192", Act.RULE_BY_DEFAULT),
    "ruled by the second": (*DRAWN, "168", Act.DRAW_ARBITRATOR, 6, Act.DRAW_ARBITRATOR, Act.RULE_FOR_SELLER),
}
"""The acts that lead to each end; a number is blocks to wait, a text hours."""


@dataclass
class Trial:
    """One order after the other on a real chain, each with its outcomes before every act."""

    bazaar: Bazaar
    market: Market
    indexer: Indexer
    people: dict[str, Caller]
    symbol: str = "USDT"
    number: int = 0

    def base(self, micros: int) -> int:
        """Millionths of a token in base units."""
        return micros * 10 ** ((self.bazaar.contracts[self.symbol].decimals or 0) - 6)

    async def begin(self) -> None:
        """A new order, around the market: nothing has to be reserved for it."""
        arguments = (
            self.people["seller"].wallet,
            self.bazaar.token(self.symbol),
            self.base(AMOUNT),
            b"\1" * 32,
            bytes(32),
        )
        await self.bazaar.act(self.people["buyer"].wallet, "createOrder", *arguments)
        self.number += 1

    async def outcomes(self) -> dict[str, Any]:
        """As the market shows them to the buyer."""
        await self.indexer.catch_up()
        order = await self.market.owner.fetchval(
            "SELECT id FROM escrow.orders WHERE onchain_order_id = $1", self.number
        )
        answer = await self.people["buyer"].get(f"orders/{order}/outcomes")
        assert answer.status == 200, answer.body
        body: dict[str, Any] = answer.body
        return body

    async def callers(self) -> dict[str, str]:
        """A wallet for each that may do something, and one for anyone."""
        sits = str((await self.bazaar.call("getOrder", self.number)).arbitrator)
        known = {side: self.people[side].wallet for side in ("buyer", "seller")}
        judges = [self.people[name].wallet for name in ("first", "second")]
        return known | {"arbitrator": sits if sits in judges else judges[0], "anyone": self.bazaar.parties[6].address}

    async def takes(self, act: Act, caller: str) -> bool:
        """Whether the contract would take it in the next block."""
        function, *more = CALLS[act]
        data = "0x" + ESCROW.encode_call(function, self.number, *more).hex()
        call = {"from": caller, "to": self.bazaar.escrow, "data": data, "gas": hex(5_000_000)}
        try:
            await self.bazaar.node.rpc.call("eth_call", [call, "pending"])
        except RpcError:
            return False
        return True

    async def differing(self, shown: dict[str, Any]) -> list[str]:
        """Acts that the market calls legal and the contract does not, or the other way round."""
        listed = {one["act"]: set(one["by"]) for one in shown["items"]}
        callers, wrong = await self.callers(), []
        for act in Act:
            for doer, wallet in callers.items():
                says = bool(listed.get(act, set()) & {doer, "anyone"})
                if says != await self.takes(act, wallet):
                    wrong.append(f"{shown['status']}: {act} by {doer} is {'' if says else 'not '}listed")
        return wrong

    async def credits(self) -> dict[str, int]:
        """What the contract owes to each, and holds for open orders, in base units."""
        token, callers = self.bazaar.token(self.symbol), await self.callers()
        holders = {name: callers[name] for name in ("buyer", "seller", "arbitrator")}
        holders["treasury"] = self.bazaar.node.accounts[0].address
        owed = {name: int(await self.bazaar.call("credits", holder, token)) for name, holder in holders.items()}
        return owed | {"open": -int(await self.bazaar.call("openAmount", token))}

    async def does(self, act: Act) -> None:
        """The first who may do it does it, and the contract does what the market has said."""
        shown, before, callers = await self.outcomes(), await self.credits(), await self.callers()
        told = next(one for one in shown["items"] if one["act"] == act)
        function, *more = CALLS[act]
        await self.bazaar.act(callers[told["by"][0]], function, self.number, *more)
        after = await self.credits()
        if act is not Act.DRAW_ARBITRATOR:  # there, who is paid as the arbitrator changes
            moved = {name: after[name] - before[name] for name in after}
            assert moved == self.paid(shown, told)
        status = (await self.bazaar.call("getOrder", self.number)).status
        assert list(OrderStatus)[status - 1] == told["status"]

    def paid(self, shown: dict[str, Any], told: dict[str, Any]) -> dict[str, int]:
        """What the market says that the act pays, checked for being whole."""
        nothing = dict.fromkeys(("buyer", "seller", "arbitrator", "treasury", "open"), 0)
        if told["payouts"] is None:
            return nothing
        sums = {name: int(part["units"]) for name, part in told["payouts"].items()}
        locked = int(shown["locked"]["units"])
        assert sum(sums.values()) == locked == self.base(LOCKED)
        scale = 10 ** shown["decimals"]
        for part in (*told["payouts"].values(), shown["locked"]):
            whole, places = part["amount"].split(".")
            assert len(places) == 6
            assert int(whole + places) * scale == int(part["units"]) * 10**6
        return nothing | sums | {"open": locked}


@asynccontextmanager
async def tried(database: TestDatabase, chain: str) -> AsyncIterator[Trial]:
    """A chain with a pool of two arbitrators, and a market on it."""
    async with AsyncExitStack() as stack:
        doors = await stack.enter_async_context(Database(database.url, settings_for(database, pool_size=1)))
        bazaar = await stack.enter_async_context(opened(doors, chain))
        settings = settings_for(database, chains=(bazaar.settings,))
        house = await stack.enter_async_context(House(settings))
        indexer = await escrow_indexer(house.database, house.chains, chain)
        assert indexer is not None
        http = await stack.enter_async_context(aiohttp.ClientSession(await stack.enter_async_context(served(settings))))
        owner = await asyncpg.connect(database.owner_url)
        stack.push_async_callback(owner.close)
        names = ("buyer", "seller", "first", "second")
        people = {
            name: Caller(http, Key.from_key(account.private_key))
            for name, account in zip(names, bazaar.parties, strict=False)
        }
        for caller in people.values():
            assert (await caller.sign_in(caller.key)).status == 200
        await court.joins(bazaar, people["first"].wallet, people["second"].wallet)
        yield Trial(bazaar, Market(http, owner), indexer, people)


@pytest.mark.parametrize(("chain", "decimals"), [("ethereum", 6), ("bsc", 18)])
async def test_the_contract_takes_and_pays_what_the_outcomes_say(
    database: TestDatabase, chain: str, decimals: int
) -> None:
    async with tried(database, chain) as trial:
        wrong: list[str] = []
        for way in WAYS.values():
            await trial.begin()
            for step in way:
                shown = await trial.outcomes()
                assert shown["decimals"] == decimals
                wrong += await trial.differing(shown) if decimals == 6 else []
                if isinstance(step, Act):
                    await trial.does(step)
                elif isinstance(step, int):
                    await trial.bazaar.node.mine(step)
                else:
                    await trial.bazaar.node.increase_time(int(step) * HOUR)
            ended = await trial.outcomes()
            assert (ended["items"], ended["locked"]["amount"]) == ([], "0.000000")
        assert wrong == []


def test_the_ways_end_by_every_act_that_pays() -> None:
    assert {way[-1] for way in WAYS.values()} == {terms.act for terms in TERMS if terms.pays is not None}
    assert {terms.act for terms in TERMS} == set(Act) == set(CALLS)


async def test_outcomes_are_for_the_parties_and_the_arbitrator(quarrel: Any) -> None:
    path = f"orders/{quarrel.id}/outcomes"
    seen = [(await caller.get(path)).body["items"] for caller in quarrel.everyone]
    assert seen[0] == seen[1] == seen[2]
    assert {one["act"] for one in seen[0]} == {"submit_evidence", "rule_for_buyer", "rule_for_seller"}
    refused(await quarrel.other.get(path), 404, "no-such-order")
    assert (await quarrel.market.stranger().get(path)).status == 401
