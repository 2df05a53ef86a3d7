"""The two tokens for local chains behave as those whose places they take."""

import boa
from market import CONTRACTS, ZERO, Market, load


def test_a_plain_token_answers_true_and_usdt_answers_nothing(market: Market):
    assert market.usdc.transfer(market.seller, 1, sender=market.buyer) is True
    assert market.usdt.transfer(market.seller, 1, sender=market.buyer) is None


def test_decimals_name_and_symbol_are_what_the_deployer_says():
    token = load(CONTRACTS / "TestUSDT.vy", "Tether USD", "USDT", 6)
    assert (token.name(), token.symbol(), token.decimals()) == ("Tether USD", "USDT", 6)


def test_anyone_may_mint(market: Market):
    for token in (market.usdc, market.usdt):
        before, supply = token.balanceOf(market.stranger), token.totalSupply()
        token.mint(market.stranger, 7, sender=market.stranger)
        assert (token.balanceOf(market.stranger), token.totalSupply()) == (before + 7, supply + 7)


def test_usdt_refuses_to_replace_one_allowance_by_another(market: Market):
    market.usdt.approve(market.stranger, 5, sender=market.buyer)
    with boa.reverts("reset to zero first"):
        market.usdt.approve(market.stranger, 6, sender=market.buyer)
    market.usdt.approve(market.stranger, 0, sender=market.buyer)
    market.usdt.approve(market.stranger, 6, sender=market.buyer)


def test_an_allowance_is_used_up(market: Market):
    for token in (market.usdc, market.usdt):
        token.approve(market.stranger, 5, sender=market.buyer)
        token.transferFrom(market.buyer, market.seller, 5, sender=market.stranger)
        with boa.reverts("allowance too low"):
            token.transferFrom(market.buyer, market.seller, 1, sender=market.stranger)


def test_nobody_spends_what_they_do_not_have_or_sends_to_nobody(market: Market):
    for token in (market.usdc, market.usdt):
        with boa.reverts("balance too low"):
            token.transfer(market.seller, token.balanceOf(market.buyer) + 1, sender=market.buyer)
        with boa.reverts("no receiver"):
            token.transfer(ZERO, 1, sender=market.buyer)


def test_usdt_keeps_a_deny_list_that_only_its_deployer_writes(market: Market):
    with boa.reverts("not the owner"):
        market.usdt.setDenied(market.seller, True, sender=market.stranger)
    market.usdt.setDenied(market.seller, True, sender=market.owner)
    with boa.reverts("denied"):
        market.usdt.transfer(market.seller, 1, sender=market.buyer)
    with boa.reverts("denied"):
        market.usdt.transfer(market.buyer, 1, sender=market.seller)
    market.usdt.setDenied(market.seller, False, sender=market.owner)
    market.usdt.transfer(market.seller, 1, sender=market.buyer)
