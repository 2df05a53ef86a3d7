"""The journey that ends well: listed, bought, delivered, opened, confirmed and paid, to the cent."""

import asyncio
import hashlib
import os

import pytest
from nacl.secret import SecretBox

from entrepot.apps.escrow.transactions import approval
from entrepot.client import OrderStatus, Token
from tests.conftest import TestDatabase
from tests.journeys.conftest import FEE, GOOD, NOTHING, PRICE, Deal, deal_on, staged


async def complete(deal: Deal) -> None:
    """Delivery, letters, the good itself, receipt and payout."""
    seller, buyer, order = deal.seller, deal.buyer, deal.order
    key = os.urandom(SecretBox.KEY_SIZE)
    parcel = SecretBox(key).encrypt(GOOD)
    assert (await seller.deliver(order.id, key)).status is OrderStatus.SELLER_CONFIRMED
    await buyer.messages.send(order, "Is the gauge at Nussdorf included?")
    await seller.messages.send(order, "Jawohl: the third one.")
    for side in (buyer, seller):
        letters = [(letter.sender, letter.text) async for letter in side.messages.read(order)]
        assert letters == [
            (seller.wallet, "Jawohl: the third one."),
            (buyer.wallet, "Is the gauge at Nussdorf included?"),
        ]
    good = SecretBox(await buyer.open_delivery(order.id)).decrypt(parcel)
    assert (await buyer.products.get(order.product_id)).product_hash == "0x" + hashlib.sha256(good).hexdigest()
    ended = await buyer.confirm(order.id)
    assert (ended.status, (await seller.order(order.id)).status) == (OrderStatus.COMPLETED, OrderStatus.COMPLETED)
    assert (await seller.withdraw(order.id)).amount == PRICE


@pytest.mark.parametrize(("chain", "decimals"), [("ethereum", 6), ("bsc", 18)])
async def test_a_trade_is_paid_to_the_cent_whatever_the_decimals_of_the_token(
    database: TestDatabase, chain: str, decimals: int
) -> None:
    async with staged(database, chain) as stage:
        assert stage.decimals == decimals
        deal = await deal_on(stage)
        held = await stage.money(deal.buyer, deal.seller)
        assert held == NOTHING | {"buyer": -PRICE - FEE, "escrow": PRICE + FEE}
        await complete(deal)
        moved = await stage.money(deal.buyer, deal.seller)
        assert moved == {"buyer": -PRICE - FEE, "seller": PRICE, "treasury": FEE, "escrow": FEE}
        assert [card.id async for card in deal.buyer.orders(status=OrderStatus.COMPLETED)] == [deal.order.id]
        assert (await deal.seller.profile()).total_as_seller == 1
        assert await stage.agrees()


async def test_an_allowance_that_is_too_small_is_replaced(deal: Deal) -> None:
    buyer, stage = deal.buyer, deal.stage
    prepared = await buyer.prepare_order(deal.order.product_id, stage.chain, Token.USDT)
    little = approval(prepared.chain_id, prepared.approval.to, prepared.transaction.to, 1)
    await buyer.purse.send(stage.chain, little)
    again = await buyer.buy(deal.order.product_id, stage.chain, Token.USDT)
    assert again.status is OrderStatus.CREATED
    assert (await stage.money(buyer, deal.seller))["escrow"] == 2 * (PRICE + FEE)
    assert await stage.agrees()


async def test_one_wallet_buys_twice_at_once(deal: Deal) -> None:
    buyer, stage = deal.buyer, deal.stage
    both = await asyncio.gather(*[buyer.buy(deal.order.product_id, stage.chain, Token.USDT) for _ in range(2)])
    assert {order.status for order in both} == {OrderStatus.CREATED}
    assert {card.id async for card in buyer.orders()} == {deal.order.id, *(order.id for order in both)}
    assert (await buyer.products.get(deal.order.product_id)).stock == 0
    assert await stage.agrees()
