"""What rulings and missed deadlines do to an arbitrator, and that the owner gets nothing else than forfeited stakes."""

import boa
import chain
import pytest
from market import DAY, PRODUCT, ZERO, Market, Status

UNIT = 10**18
MILLIONTH = 10**12


@pytest.fixture
def only(staked: Market) -> str:
    """The one arbitrator of the pool."""
    who = staked.arbitrators[0]
    staked.stake(who, 1_000)
    chain.move(blocks=10)
    return who


def decide(market: Market, who: str, call: str, order: int) -> None:
    """Draws the pool's only arbitrator for an order and lets the escrow tell what came of it."""
    escrow = market.escrow.address
    chain.move(blocks=1)
    assert market.pool.draw(order, ZERO, ZERO, chain.height(), PRODUCT, sender=escrow) == who
    getattr(market.pool, call)(order, who, sender=escrow)


def test_a_ruling_in_time_frees_the_arbitrator_and_raises_its_reputation_by_two(staked: Market, only: str):
    order = staked.drawn()
    staked.escrow.resolveDispute(order, True, sender=only)
    assert staked.told(staked.pool, during=staked.escrow) == [
        (
            "ReputationUpdated",
            {
                "arbitrator": only,
                "orderId": order,
                "reputation": 52,
                "active": True,
                "stake": 1_000 * UNIT,
                "assigned": 0,
                "resolved": 1,
                "consistent": True,
            },
        )
    ]
    arbiter = staked.arbiter(only)
    assert (arbiter.reputation, arbiter.assigned, arbiter.resolved, arbiter.stake) == (52, 0, 1, 1_000 * UNIT)
    assert staked.pool.arbitratorOf(order) == ZERO


def test_a_missed_deadline_costs_five_points_and_a_tenth_of_the_stake_which_the_owner_is_credited(
    staked: Market, only: str
):
    order = staked.drawn()
    chain.move_to(staked.get(order).rulingDeadline)
    staked.escrow.drawArbitrator(order, sender=staked.stranger)
    assert staked.told(staked.pool, during=staked.escrow) == [
        (
            "ReputationUpdated",
            {
                "arbitrator": only,
                "orderId": order,
                "reputation": 45,
                "active": True,
                "stake": 900 * UNIT,
                "assigned": 0,
                "resolved": 0,
                "consistent": False,
            },
        )
    ]
    assert staked.pool.credits(staked.owner, staked.usdt.address) == 100 * UNIT
    assert staked.pool.credits(staked.stranger, staked.usdt.address) == 0
    assert staked.pool.hasMissed(order, only)
    assert staked.pool.openAmount(staked.usdt.address) == 900 * UNIT
    before = staked.usdt.balanceOf(staked.treasury)
    staked.pool.collect(staked.treasury, sender=staked.owner)
    assert staked.usdt.balanceOf(staked.treasury) - before == 100 * UNIT
    with boa.reverts("nothing to withdraw"):
        staked.pool.collect(staked.treasury, sender=staked.owner)
    staked.pool.withdraw(sender=only)
    assert staked.usdt.balanceOf(staked.pool.address) == 0


def test_nobody_else_collects(staked: Market, only: str):
    decide(staked, only, "missed", 1)
    for other in (only, staked.treasury, staked.stranger):
        with boa.reverts("nothing to withdraw"):
            staked.pool.collect(other, sender=other)
    for receiver in (ZERO, staked.pool.address):
        with boa.reverts("bad receiver"):
            staked.pool.collect(receiver, sender=staked.owner)


def test_the_default_ruling_tells_on_the_arbitrator_too(staked: Market, only: str):
    order = staked.drawn()
    chain.move_to(staked.get(order).defaultDeadline)
    staked.escrow.autoResolveDispute(order, sender=staked.stranger)
    assert (staked.arbiter(only).reputation, staked.arbiter(only).assigned) == (45, 0)
    assert staked.credit(staked.buyer) == 102 * 10**6


def test_who_missed_an_order_is_not_drawn_for_it_again_but_for_others(staked: Market, only: str):
    order = staked.drawn()
    assert staked.redraw(order) == ZERO
    assert staked.arbitrator(staked.drawn()) == only


def test_a_dispute_goes_through_three_arbitrators_of_the_pool_and_ends(staked: Market):
    staked.stake_all()
    order = staked.drawn()
    assert len({staked.arbitrator(order), staked.redraw(order), staked.redraw(order)}) == 3
    chain.move_to(staked.get(order).rulingDeadline + DAY)
    staked.escrow.autoResolveDispute(order, sender=staked.stranger)
    assert staked.status(order) == Status.RESOLVED_BUYER
    assert sorted(staked.arbiter(who).reputation for who in staked.arbitrators) == [45, 45, 45, 50]
    assert staked.pool.credits(staked.owner, staked.usdt.address) == 300 * UNIT


def test_reputation_ends_at_a_hundred(staked: Market, only: str):
    for order in range(26):
        decide(staked, only, "ruled", order)
    assert (staked.arbiter(only).reputation, staked.arbiter(only).resolved) == (100, 26)


def test_below_ten_an_arbitrator_is_inactive_and_cannot_come_back(staked: Market, only: str):
    staked.pool.increaseStake(10**6 * UNIT, sender=only)
    chain.move(blocks=10)
    for order in range(8):
        decide(staked, only, "missed", order)
    assert (staked.arbiter(only).reputation, staked.arbiter(only).active) == (10, True)
    decide(staked, only, "missed", 8)
    assert (staked.arbiter(only).reputation, staked.arbiter(only).active) == (5, False)
    assert staked.pool.draw(9, ZERO, ZERO, chain.height(), PRODUCT, sender=staked.escrow.address) == ZERO
    staked.pool.withdraw(sender=only)
    with boa.reverts("reputation too low"):
        staked.stake(only, 500)


def test_reputation_does_not_fall_below_zero(staked: Market, only: str):
    staked.pool.increaseStake(10**6 * UNIT, sender=only)
    chain.move(blocks=10)
    escrow = staked.escrow.address
    for order in range(12):
        assert staked.pool.draw(order, ZERO, ZERO, chain.height(), PRODUCT, sender=escrow) == only
    for order in range(12):
        staked.pool.missed(order, only, sender=escrow)
    assert (staked.arbiter(only).reputation, staked.arbiter(only).assigned) == (0, 0)


def test_an_arbitrator_whose_stake_fell_under_the_minimum_waits_until_it_stakes_more(staked: Market):
    who = staked.arbitrators[0]
    staked.stake(who, 500)
    chain.move(blocks=10)
    decide(staked, who, "missed", 1)
    assert (staked.arbiter(who).stake, staked.arbiter(who).active) == (450 * UNIT, False)
    staked.pool.increaseStake(50 * UNIT - MILLIONTH, sender=who)
    assert staked.told(staked.pool)[0][1]["active"] is False
    staked.pool.increaseStake(MILLIONTH, sender=who)
    assert staked.told(staked.pool)[0][1]["active"] is True
    chain.move(blocks=1)
    decide(staked, who, "ruled", 2)


def test_what_is_forfeited_is_rounded_down_to_a_millionth(staked: Market):
    who = staked.arbitrators[0]
    staked.stake(who, 500)
    staked.pool.increaseStake(9 * MILLIONTH, sender=who)
    chain.move(blocks=10)
    decide(staked, who, "missed", 1)
    assert staked.pool.credits(staked.owner, staked.usdt.address) == 50 * UNIT
    assert staked.arbiter(who).stake == 450 * UNIT + 9 * MILLIONTH


def test_who_leaves_and_comes_back_has_the_reputation_of_before(staked: Market, only: str):
    decide(staked, only, "missed", 1)
    staked.pool.withdraw(sender=only)
    assert staked.arbiter(only).reputation == 45
    staked.stake(only, 500)
    assert staked.told(staked.pool)[0][1]["reputation"] == 45
    assert (staked.arbiter(only).reputation, staked.arbiter(only).registeredBlock) == (45, chain.height())


def test_a_notice_about_someone_who_is_not_assigned_is_refused(staked: Market, only: str):
    escrow = staked.escrow.address
    order = staked.drawn()
    for call in (staked.pool.ruled, staked.pool.missed):
        for number, who in ((order, staked.stranger), (order + 1, only), (order + 1, ZERO)):
            with boa.reverts("not assigned"):
                call(number, who, sender=escrow)
    staked.pool.ruled(order, only, sender=escrow)
    for call in (staked.pool.ruled, staked.pool.missed):
        with boa.reverts("not assigned"):
            call(order, only, sender=escrow)


def test_a_notice_needs_less_gas_than_the_escrow_gives(staked: Market, only: str):
    order = staked.drawn()
    chain.move_to(staked.get(order).rulingDeadline)
    staked.escrow.drawArbitrator(order, sender=staked.stranger)
    assert staked.escrow._computation.get_gas_used() < staked.escrow.NOTICE_GAS()
    other = staked.drawn()
    staked.escrow.resolveDispute(other, True, sender=only)
    assert staked.escrow._computation.get_gas_used() < staked.escrow.NOTICE_GAS()


def test_a_gain_in_reputation_does_not_count_in_draws_that_were_called_for_before(staked: Market):
    who, other = staked.arbitrators[:2]
    for each in (who, other):
        staked.stake(each, 1_000)
    chain.move(blocks=300)
    called, escrow = chain.height(), staked.escrow.address
    for order in range(25):
        assert staked.pool.draw(order, other, ZERO, called, PRODUCT, sender=escrow) == who
        staked.pool.ruled(order, who, sender=escrow)
    assert staked.arbiter(who).reputation == 100
    answers = []
    for number in range(60):
        with boa.env.anchor():
            answers.append(staked.pool.draw(99, ZERO, ZERO, called, number.to_bytes(32), sender=escrow))
    staked.pool.withdraw(sender=who)
    staked.pool.withdraw(sender=other)
    share = answers.count(who) / 60
    assert 0.3 < share < 0.6, "a weight of 50 to 50 gives a half; 100 to 50 would give two thirds"
