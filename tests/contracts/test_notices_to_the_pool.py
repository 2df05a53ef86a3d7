"""A pool that fails on a notice holds nobody up, and a caller cannot make it fail by sending too little gas."""

from contextlib import suppress

import boa
import chain
import pytest
from market import Market, Status

REVERTS = (False, False, True, False)
BURNS_ALL_GAS = (False, False, False, True)


@pytest.mark.parametrize("trouble", [REVERTS, BURNS_ALL_GAS])
def test_a_ruling_stands_whatever_the_pool_does(market: Market, trouble: tuple[bool, ...]):
    order = market.drawn()
    market.pool.misbehave(*trouble)
    market.act(market.arbitrator(order), "resolveDispute", order, False)
    assert market.status(order) == Status.RESOLVED_SELLER
    assert market.credit(market.seller) == 95 * 10**6


@pytest.mark.parametrize("trouble", [REVERTS, BURNS_ALL_GAS])
def test_a_default_ruling_stands_whatever_the_pool_does(market: Market, trouble: tuple[bool, ...]):
    order = market.drawn()
    market.pool.misbehave(*trouble)
    chain.move_to(market.get(order).defaultDeadline)
    market.act(market.stranger, "autoResolveDispute", order)
    assert market.credit(market.buyer) == 102 * 10**6


@pytest.mark.parametrize("trouble", [REVERTS, BURNS_ALL_GAS])
def test_another_arbitrator_can_be_drawn_whatever_the_pool_does_with_the_notice(market: Market, trouble):
    order = market.drawn()
    missed = market.arbitrator(order)
    market.pool.misbehave(*trouble)
    chain.move_to(market.get(order).rulingDeadline)
    market.act(market.stranger, "drawArbitrator", order)
    remaining = [each for each in market.arbitrators if each != missed]
    market.pool.setCandidates(remaining)
    assert market.draw(order) in remaining


def test_a_pool_cannot_burn_more_gas_than_a_notice_may_use(market: Market):
    order = market.drawn()
    market.pool.misbehave(*BURNS_ALL_GAS)
    chain.move_to(market.get(order).defaultDeadline)
    market.escrow.autoResolveDispute(order, sender=market.stranger, gas=10**7)
    assert market.escrow._computation.get_gas_used() < market.escrow.NOTICE_GAS() + 200_000


def test_with_little_gas_either_the_pool_is_told_or_nothing_happens(market: Market):
    order = market.drawn()
    arbitrator = market.arbitrator(order)
    chain.move_to(market.get(order).defaultDeadline)
    outcomes = set()
    for gas in range(60_000, 600_001, 20_000):
        with boa.env.anchor():
            with suppress(boa.BoaError):
                market.escrow.autoResolveDispute(order, sender=arbitrator, gas=gas)
            ended = market.status(order) == Status.RESOLVED_BUYER
            assert ended == market.pool.missedBy(order, arbitrator), f"at {gas} gas"
            outcomes.add(ended)
    assert outcomes == {True, False}
