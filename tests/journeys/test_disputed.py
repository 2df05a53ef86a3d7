"""Journeys through a dispute: drawn from the real pool, heard with evidence, and ruled; or left by an arbitrator."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import pytest

from entrepot.client import Act, Client, EvidenceType, OrderStatus, Refused, TransactionFailed, WrongEvidence
from entrepot.kernel.money import from_units
from tests import court
from tests.bazaar import TOKEN
from tests.journeys.conftest import ALLOWANCE, FEE, NOTHING, PATIENCE, PRICE, Deal

DAY = 24
EARNED = Decimal("1.245")  # 5 % of the price
LIES = b"The gauge at Nussdorf is missing from the file: see rows 12 to 19."


@dataclass
class Hearing:
    """A disputed order, and everybody who may be drawn for it."""

    deal: Deal
    pool: list[Client]

    async def drawn(self) -> Client:
        """Whoever the contract draws, once the blocks are there; the keeper may be quicker than the buyer."""
        order, buyer = self.deal.order.id, self.deal.buyer
        await self.deal.stage.bazaar.node.mine(court.BLOCKS_TO_A_DRAW)
        with suppress(Refused, TransactionFailed):
            await buyer.disputes.draw(order)
        sits = (await buyer.disputes.until_drawn(order)).arbitrator_wallet
        return next(client for client in self.pool if client.wallet == sits)

    async def dismissed(self, absent: Client) -> None:
        """Until the contract is told that the deadline has passed, and the market shows it."""
        order, disputes = self.deal.order.id, self.deal.buyer.disputes
        telling = asyncio.create_task(self.tells())
        async with asyncio.timeout(PATIENCE):
            while (await disputes.get(order)).arbitrator_wallet == absent.wallet:
                await asyncio.sleep(0.05)
        telling.cancel()  # where the keeper was quicker, it waits for the block of the next draw

    async def tells(self) -> None:
        """The buyer asks for another arbitrator, until the market takes it."""
        while True:
            with suppress(Refused, TransactionFailed):
                await self.deal.buyer.disputes.draw(self.deal.order.id)
                return
            await asyncio.sleep(0.05)

    async def gains(self, *arbitrators: Client) -> dict[str, Decimal]:
        """What everybody has after taking out what the contract owes, beside what they came with."""
        for client in (self.deal.buyer, self.deal.seller, *arbitrators):
            with suppress(TransactionFailed):
                await client.withdraw(self.deal.order.id)
        found = await self.deal.stage.money(self.deal.buyer, self.deal.seller)
        for number, client in enumerate(arbitrators):
            found[f"arbitrator {number}"] = await self.has(client) - ALLOWANCE
        return found

    async def has(self, client: Client) -> Decimal:
        """A balance of the order's token."""
        stage = self.deal.stage
        data = TOKEN.encode_call("balanceOf", client.wallet)
        answer = await stage.bazaar.node.rpc.call_contract(stage.bazaar.token(), data)
        return from_units(TOKEN.decode_result("balanceOf", answer), stage.decimals)


@pytest.fixture
async def hearing(deal: Deal) -> Hearing:
    """Three strangers are in the pool; the seller has delivered and the buyer disputes."""
    pool = [await deal.stage.comes() for _ in range(3)]
    for client in pool:
        await court.joins_by_own_hand(deal.stage.bazaar, await client.purse.account(deal.stage.chain))
    await deal.seller.deliver(deal.order.id, b"the key")
    disputed = await deal.buyer.open_dispute(deal.order.id)
    assert (disputed.status, disputed.arbitrator_wallet) == (OrderStatus.DISPUTED, None)
    return Hearing(deal, pool)


async def is_heard(hearing: Hearing, judge: Client) -> None:
    """Both sides hand in evidence that all three can read and nobody else; the arbitrator asks, and is answered."""
    buyer, seller, order = hearing.deal.buyer, hearing.deal.seller, hearing.deal.order.id
    said = {
        buyer: (LIES, EvidenceType.PRODUCT_PROOF),
        seller: (b"x" * 700_000, EvidenceType.SCREENSHOT),
    }
    handed = {client: await client.disputes.submit(order, *told) for client, told in said.items()}
    wanted = {(handed[client].cid, client.wallet, told[1]) for client, told in said.items()}
    assert await until_on_record(judge, order, 2) == wanted
    for reader in (buyer, seller, judge):
        for client, told in said.items():
            assert await reader.disputes.read(order, handed[client].cid) == told[0]
    other = next(client for client in hearing.pool if client is not judge)
    with pytest.raises(Refused, match="404"):
        await other.disputes.read(order, handed[buyer].cid)
    seen = await judge.order(order)
    for side in (buyer, seller):
        await judge.messages.send(seen, "Which rows?", to=side.wallet)
    await buyer.messages.send(seen, "12 to 19.", to=judge.wallet)
    texts = [[letter.text async for letter in reader.messages.read(seen)] for reader in (buyer, judge)]
    assert texts == [["12 to 19.", None, "Which rows?"], ["12 to 19.", "Which rows?", "Which rows?"]]


async def until_on_record(reader: Client, order: UUID, pieces: int) -> set[tuple[str, str, str]]:
    """What is on record, once the market shows as much."""
    async with asyncio.timeout(PATIENCE):
        while len(found := (await reader.disputes.get(order)).evidence) < pieces:
            await asyncio.sleep(0.05)
    return {(one.ipfs_hash, one.submitter_wallet, one.evidence_type) for one in found}


async def test_an_arbitrator_of_the_pool_rules_for_the_buyer(hearing: Hearing) -> None:
    order, judge = hearing.deal.order.id, await hearing.drawn()
    await is_heard(hearing, judge)
    outcomes = {one.act: one for one in (await judge.disputes.outcomes(order)).items}
    assert set(outcomes) == {Act.SUBMIT_EVIDENCE, Act.RULE_FOR_BUYER, Act.RULE_FOR_SELLER}
    told = outcomes[Act.RULE_FOR_BUYER].payouts
    ended = await judge.disputes.rule(order, favor_buyer=True)
    assert (ended.status, ended.arbitrator_wallet) == (OrderStatus.RESOLVED_BUYER, judge.wallet)
    assert told is not None
    assert (told.buyer.amount, told.arbitrator.amount) == (PRICE + FEE - EARNED, EARNED)
    moved = await hearing.gains(judge)
    assert moved == NOTHING | {"buyer": -EARNED, "arbitrator 0": EARNED}
    await hearing.deal.buyer.review(order, 1)
    assert [review.rating async for review in hearing.deal.seller.reviews()] == [1]
    assert (await hearing.deal.seller.products.get(hearing.deal.order.product_id)).stock == 3
    assert await hearing.deal.stage.agrees()


async def test_an_arbitrator_of_the_pool_rules_for_the_seller(hearing: Hearing) -> None:
    judge = await hearing.drawn()
    ended = await judge.disputes.rule(hearing.deal.order.id, favor_buyer=False)
    assert (ended.status, ended.arbitrator_wallet) == (OrderStatus.RESOLVED_SELLER, judge.wallet)
    assert {one.wallet async for one in judge.disputes.arbitrators()} == {client.wallet for client in hearing.pool}
    assert await hearing.gains(judge) == {
        "buyer": -PRICE - FEE,
        "seller": PRICE - EARNED,
        "treasury": FEE,
        "escrow": FEE,
        "arbitrator 0": EARNED,
    }
    assert await hearing.deal.stage.agrees()


async def test_an_arbitrator_who_does_not_rule_loses_the_chair_and_a_tenth_of_the_stake(hearing: Hearing) -> None:
    deal, order = hearing.deal, hearing.deal.order.id
    absent = await hearing.drawn()
    sealed = await deal.buyer.disputes.submit(order, LIES)
    staked = await court.stake_of(deal.stage.bazaar, absent.wallet)
    await deal.stage.passes(hours=7 * DAY)
    with pytest.raises((Refused, TransactionFailed), match="too.late|404"):  # the keeper may have dismissed it
        await absent.disputes.rule(order, favor_buyer=False)
    await hearing.dismissed(absent)
    judge = await hearing.drawn()
    assert judge is not absent
    assert await court.stake_of(deal.stage.bazaar, absent.wallet) == staked * 9 // 10
    with pytest.raises(Refused, match="404"):
        await absent.disputes.get(order)
    await until_on_record(judge, order, 1)
    with pytest.raises(WrongEvidence, match="not sealed to this wallet"):
        await judge.disputes.read(order, sealed.cid)
    again = await deal.buyer.disputes.submit(order, LIES)
    await until_on_record(judge, order, 2)
    assert await judge.disputes.read(order, again.cid) == LIES
    await judge.disputes.rule(order, favor_buyer=True)
    assert await hearing.gains(judge) == NOTHING | {"buyer": -EARNED, "arbitrator 0": EARNED}
    assert await deal.stage.bazaar.call("credits", absent.wallet, deal.stage.bazaar.token()) == 0
    assert await deal.stage.agrees()


async def test_where_the_arbitrator_never_rules_the_buyer_has_everything_back(hearing: Hearing) -> None:
    deal, absent = hearing.deal, await hearing.drawn()
    staked = await court.stake_of(deal.stage.bazaar, absent.wallet)
    await deal.stage.passes(hours=8 * DAY)
    with suppress(Refused, TransactionFailed):
        await deal.seller.resolve_by_default(deal.order.id)
    ended = await deal.buyer.until(deal.order.id, OrderStatus.RESOLVED_BUYER)
    assert ended.status is OrderStatus.RESOLVED_BUYER
    assert await hearing.gains(absent) == NOTHING | {"arbitrator 0": Decimal(0)}
    assert await court.stake_of(deal.stage.bazaar, absent.wallet) == staked * 9 // 10
    assert await deal.stage.agrees()
