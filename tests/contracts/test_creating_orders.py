"""What may be ordered, by whom, and what an order stores."""

import boa
import chain
import pytest
from market import DAY, HOUR, PRODUCT, REFERENCE, ZERO, Market, Status, one


@pytest.fixture(params=["usdc", "usdt"])
def token(request, market: Market):
    return getattr(market, request.param)


def test_a_new_order_locks_the_amount_and_two_percent_on_top(market: Market, token):
    before = token.balanceOf(market.buyer)
    market.order(token, 100 * one(token))
    assert before - token.balanceOf(market.buyer) == 102 * one(token)
    assert token.balanceOf(market.escrow.address) == 102 * one(token)
    assert market.escrow.openAmount(token.address) == 102 * one(token)


def test_a_new_order_is_told_in_one_event_with_all_that_a_mirror_needs(market: Market, token):
    terms = (market.seller, token.address, 50 * one(token), PRODUCT, REFERENCE)
    assert market.act(market.buyer, "createOrder", *terms) == (
        "OrderCreated",
        {
            "orderId": 1,
            "buyer": market.buyer,
            "seller": market.seller,
            "token": token.address,
            "amount": 50 * one(token),
            "fee": one(token),
            "productHash": PRODUCT,
            "orderRef": REFERENCE,
            "sellerDeadline": chain.now() + DAY,
        },
    )


def test_an_order_stores_its_own_terms(market: Market, token):
    order = market.get(market.order(token, 100 * one(token)))
    assert (order.buyer, order.seller, order.token) == (market.buyer, market.seller, token.address)
    assert (order.amount, order.fee) == (100 * one(token), 2 * one(token))
    assert (order.feeReceiver, order.arbitrationFee) == (market.treasury, 5 * one(token))
    assert (order.productHash, order.orderRef, order.status) == (PRODUCT, REFERENCE, Status.CREATED)
    assert order.sellerDeadline == chain.now() + 24 * HOUR


def test_ids_count_up_from_one(market: Market):
    assert market.escrow.nextOrderId() == 1
    assert [market.order(), market.order()] == [1, 2]
    assert market.escrow.nextOrderId() == 3


def test_an_order_that_does_not_exist_is_all_zero(market: Market):
    assert market.get(1).buyer == ZERO
    assert market.status(1) == Status.NONE


def test_one_token_is_enough_and_a_millionth_less_is_not(market: Market, token):
    market.order(token, one(token))
    with boa.reverts("amount too small"):
        market.order(token, one(token) - one(token) // 10**6)


def test_a_hundred_thousand_million_tokens_may_be_ordered_and_no_more(market: Market, token):
    market.order(token, 10**11 * one(token))
    with boa.reverts("amount too large"):
        market.order(token, 10**11 * one(token) + one(token) // 10**6)


def test_an_amount_finer_than_six_decimals_is_refused_not_rounded(market: Market):
    market.order(market.usdt, 10**18 + 10**12)
    for finer in (10**18 + 1, 10**18 + 10**12 - 1, 10**18 + 10**11):
        with boa.reverts("amount too fine"):
            market.order(market.usdt, finer)


def test_fees_are_rounded_down_to_six_decimals(market: Market):
    order = market.get(market.order(market.usdt, 1_234_567 * 10**12))
    assert order.fee == 24_691 * 10**12
    assert order.arbitrationFee == 61_728 * 10**12


def test_nobody_sells_to_themselves_to_nobody_or_to_the_escrow(market: Market):
    for seller in (market.buyer, ZERO, market.escrow.address):
        with boa.reverts("bad seller"):
            market.escrow.createOrder(seller, market.usdc.address, 10**6, PRODUCT, REFERENCE, sender=market.buyer)


def test_a_token_that_is_not_allowed_is_refused(market: Market):
    market.escrow.setSupportedToken(market.usdc.address, False, sender=market.owner)
    with boa.reverts("token not allowed"):
        market.order()


def test_a_buyer_without_enough_tokens_makes_no_order(market: Market):
    market.usdc.approve(market.escrow.address, 102 * 10**6 - 1, sender=market.buyer)
    with boa.reverts("allowance too low"):
        market.order(amount=100 * 10**6)
    assert market.escrow.nextOrderId() == 1


def test_an_allowance_of_exactly_amount_and_fee_suffices(market: Market):
    market.usdc.approve(market.escrow.address, 102 * 10**6, sender=market.buyer)
    market.order(amount=100 * 10**6)
    assert market.usdc.allowance(market.buyer, market.escrow.address) == 0


def test_a_pause_stops_new_orders(market: Market):
    market.escrow.pause(sender=market.owner)
    with boa.reverts("paused"):
        market.order()
    market.escrow.unpause(sender=market.owner)
    market.order()
