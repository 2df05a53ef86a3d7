"""Journeys that end before delivery: either party cancels, or the seller lets the day pass."""

import pytest

from entrepot.client import OrderStatus, Refused
from tests.journeys.conftest import FEE, NOTHING, PRICE, Deal


@pytest.mark.parametrize("side", ["buyer", "seller"])
async def test_either_party_cancels_and_the_buyer_has_everything_back(deal: Deal, side: str) -> None:
    who = deal.buyer if side == "buyer" else deal.seller
    ended = await who.cancel(deal.order.id)
    assert (ended.status, ended.cancelled_by) == (OrderStatus.CANCELLED, who.wallet)
    await refunded(deal)


async def test_an_order_expires_when_the_seller_does_nothing_for_a_day(deal: Deal) -> None:
    await deal.stage.passes(hours=24)
    ended = await deal.buyer.until(deal.order.id, OrderStatus.EXPIRED)
    assert ended.delivery_hash is None
    with pytest.raises(Refused) as late:
        await deal.seller.hand_in(deal.order.id, b"too late")
    assert (late.value.status, late.value.type, late.value.facts["state"]) == (409, "wrong-state", "expired")
    await refunded(deal)


async def refunded(deal: Deal) -> None:
    """The buyer takes amount and fee out of the contract, and nobody else has anything of it."""
    assert (await deal.buyer.withdraw(deal.order.id)).amount == PRICE + FEE
    assert await deal.stage.money(deal.buyer, deal.seller) == NOTHING
    assert (await deal.seller.products.get(deal.order.product_id)).stock == 3
    assert await deal.stage.agrees()
