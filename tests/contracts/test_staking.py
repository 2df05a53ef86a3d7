"""Joining the pool of arbitrators, staking more, leaving it; who names its escrow; what hostile tokens cannot do."""

from itertools import product
from typing import Any

import boa
import chain
import pytest
from market import BESIDE, CONTRACTS, PRODUCT, ZERO, Market, load

UNIT = 10**18
MILLIONTH = 10**12
TAKES_FEE = (True, False, False, False)
SAYS_NO = (False, True, False, False)
MOVES_NOTHING = (False, False, True, False)
OVERDRAWS = (False, False, False, True)


@pytest.fixture
def arbitrator(staked: Market) -> str:
    return staked.arbitrators[0]


def pool_of(market: Market, token: Any) -> Any:
    """Another pool, with an escrow of its own, for stakes in another token."""
    with boa.env.prank(market.owner):
        pool = load(CONTRACTS / "ArbitratorPool.vy", token.address)
        escrow = load(CONTRACTS / "P2PEscrow.vy", pool.address, market.treasury, 200)
        pool.setEscrow(escrow.address)
    for who in market.people:
        token.approve(pool.address, 2**256 - 1, sender=who)
    return pool


def test_who_registers_stakes_begins_at_fifty_and_is_active(staked: Market, arbitrator: str):
    before = staked.usdt.balanceOf(arbitrator)
    staked.pool.register(700 * UNIT, sender=arbitrator)
    assert staked.told(staked.pool) == [
        ("ArbitratorRegistered", {"arbitrator": arbitrator, "stake": 700 * UNIT, "reputation": 50})
    ]
    assert tuple(staked.arbiter(arbitrator)) == (700 * UNIT, 50, True, 0, chain.height(), 0)
    assert before - staked.usdt.balanceOf(arbitrator) == 700 * UNIT == staked.usdt.balanceOf(staked.pool.address)
    assert (staked.pool.size(), staked.pool.arbitratorAt(0)) == (1, arbitrator)


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (0, "stake too small"),
        (500 * UNIT - MILLIONTH, "stake too small"),
        (500 * UNIT + 1, "stake too fine"),
        (10**11 * UNIT + MILLIONTH, "stake too large"),
    ],
)
def test_a_stake_has_bounds_and_at_most_six_decimals(staked: Market, arbitrator: str, amount: int, reason: str):
    with boa.reverts(reason):
        staked.pool.register(amount, sender=arbitrator)
    assert staked.pool.size() == 0


@pytest.mark.parametrize("amount", [500 * UNIT, 500 * UNIT + MILLIONTH, 10**11 * UNIT])
def test_a_stake_on_its_bounds_is_taken(staked: Market, arbitrator: str, amount: int):
    staked.pool.register(amount, sender=arbitrator)
    assert staked.arbiter(arbitrator).stake == amount


def test_nobody_registers_twice_or_without_the_tokens(staked: Market, arbitrator: str):
    staked.stake(arbitrator, 500)
    with boa.reverts("already registered"):
        staked.pool.register(500 * UNIT, sender=arbitrator)
    staked.usdt.approve(staked.pool.address, 0, sender=staked.stranger)
    with boa.reverts("allowance too low"):
        staked.pool.register(500 * UNIT, sender=staked.stranger)


def test_who_stakes_more_has_more_at_stake(staked: Market, arbitrator: str):
    staked.stake(arbitrator, 500)
    staked.pool.increaseStake(MILLIONTH, sender=arbitrator)
    stake = 500 * UNIT + MILLIONTH
    assert staked.told(staked.pool) == [("StakeIncreased", {"arbitrator": arbitrator, "stake": stake, "active": True})]
    assert staked.arbiter(arbitrator).stake == stake == staked.usdt.balanceOf(staked.pool.address)


def test_more_is_not_staked_by_strangers_nor_over_the_ceiling_nor_too_fine_nor_none(staked: Market, arbitrator: str):
    with boa.reverts("not registered"):
        staked.pool.increaseStake(UNIT, sender=arbitrator)
    staked.stake(arbitrator, 10**11 - 1)
    for amount, reason in (
        (0, "nothing to stake"),
        (1, "stake too fine"),
        (UNIT + MILLIONTH, "stake too large"),
    ):
        with boa.reverts(reason):
            staked.pool.increaseStake(amount, sender=arbitrator)
    staked.pool.increaseStake(UNIT, sender=arbitrator)


def test_who_leaves_is_paid_the_whole_stake(staked: Market, arbitrator: str):
    before = staked.usdt.balanceOf(arbitrator)
    staked.stake(arbitrator, 500)
    staked.pool.increaseStake(7 * UNIT, sender=arbitrator)
    staked.pool.withdraw(sender=arbitrator)
    assert staked.told(staked.pool)[0] == ("ArbitratorWithdrawn", {"arbitrator": arbitrator, "stake": 507 * UNIT})
    assert staked.usdt.balanceOf(arbitrator) == before
    assert (staked.pool.size(), staked.arbiter(arbitrator).stake, staked.arbiter(arbitrator).active) == (0, 0, False)
    assert staked.usdt.balanceOf(staked.pool.address) == staked.pool.openAmount(staked.usdt.address) == 0


def test_nobody_leaves_twice_or_without_having_come(staked: Market, arbitrator: str):
    staked.stake(staked.stranger, 500)
    with boa.reverts("not registered"):
        staked.pool.withdraw(sender=arbitrator)
    staked.stake(arbitrator, 500)
    staked.pool.withdraw(sender=arbitrator)
    for call in (staked.pool.withdraw, lambda **by: staked.pool.increaseStake(UNIT, **by)):
        with boa.reverts("not registered"):
            call(sender=arbitrator)


def test_nobody_leaves_while_a_dispute_waits_for_them(staked: Market):
    staked.stake_all()
    order = staked.drawn()
    drawn = staked.arbitrator(order)
    with boa.reverts("assigned"):
        staked.pool.withdraw(sender=drawn)
    staked.escrow.resolveDispute(order, True, sender=drawn)
    staked.pool.withdraw(sender=drawn)


@pytest.mark.parametrize("leaving", range(4))
def test_the_list_holds_those_who_stay_whoever_leaves(staked: Market, leaving: int):
    staked.stake_all()
    staked.pool.withdraw(sender=staked.arbitrators[leaving])
    staying = set(staked.arbitrators) - {staked.arbitrators[leaving]}
    assert {staked.pool.arbitratorAt(i) for i in range(staked.pool.size())} == staying
    for who in staying:
        staked.pool.withdraw(sender=who)
    assert staked.pool.size() == 0


def test_a_pool_in_a_token_of_six_decimals_counts_in_them(staked: Market, arbitrator: str):
    pool = pool_of(staked, staked.usdc)
    with boa.reverts("stake too small"):
        pool.register(500 * 10**6 - 1, sender=arbitrator)
    pool.register(500 * 10**6, sender=arbitrator)
    pool.increaseStake(1, sender=arbitrator)
    assert pool.getArbitrator(arbitrator).active
    pool.withdraw(sender=arbitrator)


def test_a_denied_arbitrator_keeps_its_stake_and_holds_nobody_up(staked: Market, arbitrator: str):
    staked.stake_all()
    staked.usdt.setDenied(arbitrator, True, sender=staked.owner)
    with boa.reverts("denied"):
        staked.pool.withdraw(sender=arbitrator)
    staked.pool.withdraw(sender=staked.arbitrators[1])
    assert staked.arbiter(arbitrator).stake == 1_000 * UNIT


def test_the_deployer_names_the_escrow_once(staked: Market):
    with boa.reverts("escrow is set"):
        staked.pool.setEscrow(staked.escrow.address, sender=staked.owner)
    with boa.env.prank(staked.owner):
        pool = load(CONTRACTS / "ArbitratorPool.vy", staked.usdt.address)
        escrow = load(CONTRACTS / "P2PEscrow.vy", pool.address, staked.treasury, 200)
    with boa.reverts("not the owner"):
        pool.setEscrow(escrow.address, sender=staked.stranger)
    with boa.reverts("not its pool"):
        pool.setEscrow(staked.escrow.address, sender=staked.owner)
    with boa.reverts():
        pool.setEscrow(ZERO, sender=staked.owner)
    with boa.reverts("no escrow"):
        pool.register(500 * UNIT, sender=staked.stranger)
    pool.setEscrow(escrow.address, sender=staked.owner)
    assert staked.told(pool) == [("EscrowSet", {"escrow": escrow.address})]


def test_a_pool_is_not_deployed_for_something_that_is_no_token(staked: Market):
    with boa.reverts("no token"):
        load(CONTRACTS / "ArbitratorPool.vy", staked.stranger)
    for decimals in (5, 19):
        token = load(CONTRACTS / "TestUSDC.vy", "Odd", "ODD", decimals)
        with boa.reverts("bad decimals"):
            load(CONTRACTS / "ArbitratorPool.vy", token.address)


def test_nobody_but_the_escrow_draws_or_tells_of_rulings(staked: Market):
    staked.stake_all()
    order = staked.drawn()
    for by in (staked.owner, staked.arbitrator(order), staked.buyer, staked.stranger):
        with boa.reverts("not the escrow"):
            staked.pool.draw(9, staked.buyer, staked.seller, 1, PRODUCT, sender=by)
        for call in (staked.pool.ruled, staked.pool.missed):
            with boa.reverts("not the escrow"):
                call(order, staked.arbitrator(order), sender=by)


@pytest.fixture
def hostile(staked: Market) -> Any:
    token = load(BESIDE / "HostileToken.vy")
    for who in (*staked.arbitrators, token.address):
        token.mint(who, 10**12)
    return token


@pytest.fixture
def tricked(staked: Market, hostile: Any) -> Any:
    """A pool whose stakes are the hostile token, with one honest stake in it."""
    with boa.env.prank(staked.owner):
        pool = load(CONTRACTS / "ArbitratorPool.vy", hostile.address)
        escrow = load(CONTRACTS / "P2PEscrow.vy", pool.address, staked.treasury, 200)
        pool.setEscrow(escrow.address)
    pool.register(600 * 10**6, sender=staked.arbitrators[1])
    return pool


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(TAKES_FEE, "transfer not exact"), (MOVES_NOTHING, "transfer not exact"), (SAYS_NO, "transfer refused")],
)
def test_a_stake_that_does_not_arrive_exactly_is_refused(tricked, hostile, arbitrator: str, trouble, reason: str):
    hostile.misbehave(*trouble)
    with boa.reverts(reason):
        tricked.register(500 * 10**6, sender=arbitrator)
    assert tricked.size() == 1


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(OVERDRAWS, "transfer not exact"), (MOVES_NOTHING, "transfer not exact"), (SAYS_NO, "transfer refused")],
)
def test_a_stake_that_does_not_leave_exactly_stays(tricked, hostile, arbitrator: str, trouble, reason: str):
    tricked.register(500 * 10**6, sender=arbitrator)
    hostile.misbehave(*trouble)
    with boa.reverts(reason):
        tricked.withdraw(sender=arbitrator)
    assert tricked.getArbitrator(arbitrator).stake == 500 * 10**6


def test_a_token_cannot_call_back_into_the_pool(staked: Market, tricked, hostile, arbitrator: str):
    """The token is an arbitrator itself, so that without the lock its calls would be legal."""
    tricked.register(500 * 10**6, sender=hostile.address)
    attacks = [
        tricked.withdraw.prepare_calldata(),
        tricked.increaseStake.prepare_calldata(10**6),
    ]
    calls = (
        lambda: tricked.register(500 * 10**6, sender=arbitrator),
        lambda: tricked.withdraw(sender=staked.arbitrators[1]),
    )
    for attack, call in product(attacks, calls):
        with boa.env.anchor():
            hostile.plan(tricked.address, attack)
            call()
            assert hostile.attacked()
            assert not hostile.attackWorked()
    tricked.increaseStake(10**6, sender=hostile.address)
    tricked.withdraw(sender=hostile.address)


def test_tokens_sent_to_the_pool_by_mistake_disturb_nothing(staked: Market, arbitrator: str):
    staked.usdt.transfer(staked.pool.address, 12_345, sender=staked.stranger)
    staked.stake(arbitrator, 500)
    staked.pool.withdraw(sender=arbitrator)
    assert staked.usdt.balanceOf(staked.pool.address) == 12_345
