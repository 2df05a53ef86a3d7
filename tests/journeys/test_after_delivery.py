"""Journeys that somebody leaves after delivery: a silent buyer, and a dispute that nobody rules on."""

import pytest

from entrepot.client import OrderStatus, TransactionFailed, WrongDelivery
from tests.journeys.conftest import FEE, NOTHING, PRICE, Deal

DAY = 24


async def test_a_silent_buyer_pays_after_three_days(deal: Deal) -> None:
    with pytest.raises(WrongDelivery, match="nothing is there yet"):
        await deal.buyer.open_delivery(deal.order.id)
    await deal.seller.deliver(deal.order.id, b"the key")
    await deal.stage.passes(hours=71)
    assert (await deal.seller.order(deal.order.id)).status is OrderStatus.SELLER_CONFIRMED
    await deal.stage.passes(hours=1)
    await deal.seller.until(deal.order.id, OrderStatus.COMPLETED)
    assert await deal.buyer.open_delivery(deal.order.id) == b"the key"
    assert (await deal.seller.withdraw(deal.order.id)).amount == PRICE
    moved = await deal.stage.money(deal.buyer, deal.seller)
    assert moved == {"buyer": -PRICE - FEE, "seller": PRICE, "treasury": FEE, "escrow": FEE}
    assert await deal.stage.agrees()


async def test_a_dispute_that_nobody_rules_on_goes_to_the_buyer(deal: Deal) -> None:
    await deal.seller.deliver(deal.order.id, b"not what was sold")
    disputed = await deal.buyer.open_dispute(deal.order.id)
    assert disputed.dispute_opened_at is not None
    await deal.stage.passes(hours=4 * DAY)
    with pytest.raises(TransactionFailed, match="too early"):
        await deal.buyer.resolve_by_default(deal.order.id)
    await deal.stage.passes(hours=4 * DAY)
    ended = await deal.buyer.resolve_by_default(deal.order.id)
    assert (ended.status, ended.arbitrator_wallet) == (OrderStatus.RESOLVED_BUYER, None)
    assert (await deal.buyer.withdraw(deal.order.id)).amount == PRICE + FEE
    assert await deal.stage.money(deal.buyer, deal.seller) == NOTHING
    assert await deal.stage.agrees()
