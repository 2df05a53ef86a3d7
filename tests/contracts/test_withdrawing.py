"""Payouts are credits: who withdraws what, to whom, and that one denied receiver holds up nobody else."""

import boa
import pytest
from market import ZERO, Market, one


def paid_order(market: Market, token) -> int:
    order = market.delivered(token)
    market.escrow.buyerConfirmReceived(order, sender=market.buyer)
    return order


@pytest.mark.parametrize("token", ["usdc", "usdt"])
def test_a_withdrawal_pays_all_that_the_caller_is_owed(market: Market, token: str):
    money = getattr(market, token)
    paid_order(market, money)
    paid_order(market, money)
    before = money.balanceOf(market.stranger)
    assert market.act(market.seller, "withdraw", money.address, market.stranger) == (
        "Withdrawn",
        {"owner": market.seller, "token": money.address, "to": market.stranger, "amount": 200 * one(money)},
    )
    assert money.balanceOf(market.stranger) - before == 200 * one(money)
    assert market.credit(market.seller, money) == 0
    assert money.balanceOf(market.escrow.address) == 4 * one(money)


def test_nothing_is_withdrawn_twice(market: Market):
    paid_order(market, market.usdc)
    market.escrow.withdraw(market.usdc.address, market.seller, sender=market.seller)
    with boa.reverts("nothing to withdraw"):
        market.escrow.withdraw(market.usdc.address, market.seller, sender=market.seller)


def test_credits_in_one_token_do_not_pay_in_another(market: Market):
    paid_order(market, market.usdc)
    market.order(market.usdt)
    with boa.reverts("nothing to withdraw"):
        market.escrow.withdraw(market.usdt.address, market.seller, sender=market.seller)


def test_someone_who_is_owed_nothing_withdraws_nothing(market: Market):
    paid_order(market, market.usdc)
    for other in (market.buyer, market.stranger, market.owner):
        with boa.reverts("nothing to withdraw"):
            market.escrow.withdraw(market.usdc.address, other, sender=other)


def test_nothing_is_withdrawn_to_nobody_or_back_into_the_escrow(market: Market):
    paid_order(market, market.usdc)
    for receiver in (ZERO, market.escrow.address):
        with boa.reverts("bad receiver"):
            market.escrow.withdraw(market.usdc.address, receiver, sender=market.seller)


def test_a_denied_receiver_blocks_nobody_else(market: Market):
    order = market.delivered(market.usdt)
    market.usdt.setDenied(market.seller, True, sender=market.owner)
    market.escrow.buyerConfirmReceived(order, sender=market.buyer)
    with boa.reverts("denied"):
        market.escrow.withdraw(market.usdt.address, market.seller, sender=market.seller)
    market.escrow.withdraw(market.usdt.address, market.treasury, sender=market.treasury)
    assert market.credit(market.seller, market.usdt) == 100 * 10**18


def test_a_denied_receiver_can_be_paid_to_another_address(market: Market):
    paid_order(market, market.usdt)
    market.usdt.setDenied(market.seller, True, sender=market.owner)
    before = market.usdt.balanceOf(market.stranger)
    market.escrow.withdraw(market.usdt.address, market.stranger, sender=market.seller)
    assert market.usdt.balanceOf(market.stranger) - before == 100 * 10**18


def test_a_denied_buyer_is_refunded_as_credit(market: Market):
    order = market.order(market.usdt)
    market.usdt.setDenied(market.buyer, True, sender=market.owner)
    market.escrow.cancelOrder(order, sender=market.seller)
    assert market.credit(market.buyer, market.usdt) == 102 * 10**18


def test_a_token_taken_off_the_list_can_still_be_withdrawn(market: Market):
    paid_order(market, market.usdc)
    market.escrow.setSupportedToken(market.usdc.address, False, sender=market.owner)
    market.escrow.withdraw(market.usdc.address, market.seller, sender=market.seller)
    assert market.credit(market.seller) == 0


def test_tokens_sent_to_the_escrow_by_mistake_disturb_nothing(market: Market):
    market.usdc.transfer(market.escrow.address, 12_345, sender=market.stranger)
    paid_order(market, market.usdc)
    for who in (market.seller, market.treasury):
        market.escrow.withdraw(market.usdc.address, who, sender=who)
    assert market.usdc.balanceOf(market.escrow.address) == 12_345
