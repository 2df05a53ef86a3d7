"""How the pool draws: by stake and reputation, never a party, and not steered by what happens once it is called for."""

from collections import Counter

import boa
import chain
import pytest
from eth_utils import keccak
from market import CONTRACTS, PRODUCT, ZERO, Market, load, one
from staking import wait

UNIT = 10**18
SEED = 20_261_121
DRAWS = 400


def drawn(market: Market, order: int, seed: bytes, called: int | None = None, parties: tuple[str, str] = (ZERO, ZERO)):
    """Whom the pool would draw; what it writes down is undone."""
    called = chain.height() if called is None else called
    with boa.env.anchor():
        return str(market.pool.draw(order, *parties, called, seed, sender=market.escrow.address))


def seeds(count: int) -> list[bytes]:
    return [keccak(text=f"{SEED} {number}") for number in range(count)]


def test_a_draw_assigns_one_of_the_arbitrators_and_tells_so(staked: Market):
    staked.stake_all()
    order = staked.disputed()
    chain.move(blocks=6)
    staked.escrow.drawArbitrator(order, sender=staked.stranger)
    told = staked.told(staked.pool, during=staked.escrow)
    arbitrator = staked.arbitrator(order)
    assert told == [("Assigned", {"arbitrator": arbitrator, "orderId": order, "assigned": 1})]
    assert arbitrator in staked.arbitrators
    assert (staked.arbiter(arbitrator).assigned, staked.pool.arbitratorOf(order)) == (1, arbitrator)


def test_an_empty_pool_draws_nobody_and_the_default_ruling_comes(staked: Market):
    order = staked.disputed()
    assert staked.draw(order) == ZERO
    chain.move_to(staked.get(order).defaultDeadline)
    staked.escrow.autoResolveDispute(order, sender=staked.stranger)
    assert staked.credit(staked.buyer) == 102 * 10**6


def test_draws_fall_by_stake_times_reputation(staked: Market):
    """Chi-square over four weights, with seeds that never change; 16.3 is passed by chance once in a thousand."""
    stakes = dict(zip(staked.arbitrators, (500, 1_000, 2_500, 6_000), strict=True))
    for who, stake in stakes.items():
        staked.stake(who, stake)
    chain.move(blocks=10)
    counted = Counter(drawn(staked, 1, seed) for seed in seeds(DRAWS))
    expected = {who: DRAWS * stake / sum(stakes.values()) for who, stake in stakes.items()}
    assert sum((counted[who] - expected[who]) ** 2 / expected[who] for who in stakes) < 16.3, f"seed {SEED}: {counted}"


def test_reputation_weighs_as_much_as_stake(staked: Market):
    staked.stake_all()
    first, second = staked.arbitrators[:2]
    for who in staked.arbitrators[2:]:
        staked.pool.withdraw(sender=who)
    let_miss(staked, first, times=6)
    assert staked.arbiter(first).reputation == 20
    staked.pool.increaseStake(1_000 * UNIT - staked.arbiter(first).stake, sender=first)
    chain.move(blocks=10)
    counted = Counter(drawn(staked, 1, seed) for seed in seeds(DRAWS))
    assert abs(counted[first] / DRAWS - 20 / 70) < 0.07, f"seed {SEED}: {counted}"
    assert counted[first] + counted[second] == DRAWS


def test_a_draw_goes_to_the_shortest_wait_by_the_real_logarithm(staked: Market):
    weights = dict(zip(staked.arbitrators, (500, 777, 40_000, 10**11), strict=True))
    for who, stake in weights.items():
        staked.stake(who, stake)
    chain.move(blocks=10)
    for seed in seeds(60):
        for parties in ((ZERO, ZERO), (staked.arbitrators[3], staked.arbitrators[2])):
            left = {who: weight for who, weight in weights.items() if who not in parties}
            first = min(left, key=lambda who: wait(seed, who) / left[who])
            assert drawn(staked, 1, seed, parties=parties) == first


def test_waits_are_exponential_to_two_millionths(staked: Market):
    lots = load(CONTRACTS / "modules" / "lots.vy")
    for seed in seeds(60):
        told = lots.internal._wait(seed, staked.stranger) / 2**64
        assert told == pytest.approx(wait(seed, staked.stranger), rel=2e-6)


def test_the_same_seed_and_pool_give_the_same_answer(staked: Market):
    staked.stake_all()
    for seed in seeds(5):
        assert len({drawn(staked, 7, seed) for _ in range(3)}) == 1


def test_parties_are_never_drawn(staked: Market):
    staked.stake_all()
    parties = (staked.arbitrators[0], staked.arbitrators[3])
    others = set(staked.arbitrators) - set(parties)
    assert {drawn(staked, 1, seed, parties=parties) for seed in seeds(40)} == others
    for who in others:
        staked.pool.withdraw(sender=who)
    assert drawn(staked, 1, PRODUCT, parties=parties) == ZERO


def test_who_registers_in_or_after_the_block_of_the_call_is_not_drawn(staked: Market):
    staked.stake(staked.arbitrators[0], 500)
    registered = chain.height()
    assert drawn(staked, 1, PRODUCT, called=registered) == ZERO
    assert drawn(staked, 1, PRODUCT, called=registered + 1) == staked.arbitrators[0]
    staked.stake(staked.arbitrators[1], 10**11)
    assert drawn(staked, 1, PRODUCT, called=registered) == ZERO


def test_who_registers_while_a_dispute_waits_is_not_drawn_and_later_is(staked: Market):
    order = staked.disputed()
    staked.stake(staked.arbitrators[0], 500)
    assert staked.draw(order) == ZERO
    assert staked.draw(order) == staked.arbitrators[0]


def test_who_leaves_and_comes_back_counts_as_new(staked: Market):
    staked.stake(staked.arbitrators[0], 500)
    chain.move(blocks=300)
    staked.pool.increaseStake(UNIT, sender=staked.arbitrators[0])
    chain.move(blocks=10)
    called = chain.height()
    staked.pool.withdraw(sender=staked.arbitrators[0])
    staked.stake(staked.arbitrators[0], 500)
    assert drawn(staked, 1, PRODUCT, called=called) == ZERO


@pytest.mark.parametrize("apart", [1, 261, 262, 600])
def test_a_larger_stake_does_not_count_in_draws_that_were_called_for_before(staked: Market, apart: int):
    """Of two gains within 261 blocks neither counts, for a draw may be open that was called for before both."""
    small, large = staked.arbitrators[:2]
    for who in (small, large):
        staked.stake(who, 1_000)
    chain.move(blocks=apart)
    called = chain.height()
    before = [drawn(staked, 1, seed, called) for seed in seeds(12)]
    assert set(before) == {small, large}
    staked.pool.increaseStake(10**10 * UNIT, sender=small)
    after = [drawn(staked, 1, seed, called) for seed in seeds(12)]
    assert after == (before if apart > 261 else [large] * 12)
    chain.move(blocks=1)
    assert {drawn(staked, 1, seed) for seed in seeds(12)} == {small}


def test_a_second_gain_does_not_make_the_first_one_count(staked: Market):
    small, large = staked.arbitrators[:2]
    for who in (small, large):
        staked.stake(who, 1_000)
    chain.move(blocks=300)
    called = chain.height()
    before = [drawn(staked, 1, seed, called) for seed in seeds(12)]
    for blocks in (0, 100, 161):
        chain.move(blocks=blocks)
        staked.pool.increaseStake(10**9 * UNIT, sender=small)
        assert [drawn(staked, 1, seed, called) for seed in seeds(12)] == before


def test_stake_that_is_renewed_does_not_bring_back_the_weight_of_before(staked: Market):
    """Active, fallen under the minimum, called for, topped up: at the call the arbitrator weighed nothing."""
    who = staked.arbitrators[0]
    staked.stake(who, 500)
    chain.move(blocks=300)
    staked.pool.increaseStake(UNIT, sender=who)
    let_miss(staked, who, times=1)
    called = chain.height()
    staked.pool.increaseStake(500 * UNIT, sender=who)
    assert staked.arbiter(who).active
    assert drawn(staked, 1, PRODUCT, called=called) == ZERO


def test_nobody_elses_coming_or_going_changes_who_is_drawn_of_the_others(staked: Market):
    staked.stake_all()
    called = chain.height()
    for seed in seeds(20):
        first = drawn(staked, 1, seed, called)
        with boa.env.anchor():
            for who in set(staked.arbitrators) - {first}:
                staked.pool.withdraw(sender=who)
                staked.stake(staked.stranger, 10**9)
                assert drawn(staked, 1, seed, called) == first
                staked.pool.withdraw(sender=staked.stranger)


def test_an_order_has_one_arbitrator_at_a_time(staked: Market):
    staked.stake_all()
    order = staked.drawn()
    with boa.reverts("already assigned"):
        staked.pool.draw(order, ZERO, ZERO, chain.height(), PRODUCT, sender=staked.escrow.address)


def test_a_full_pool_takes_nobody_else_and_still_draws_within_a_block(staked: Market):
    who = [str(boa.env.generate_address()) for _ in range(staked.pool.MAX_ARBITRATORS())]
    for each in who:
        staked.usdt.mint(each, 1_000 * one(staked.usdt))
        staked.usdt.approve(staked.pool.address, 2**256 - 1, sender=each)
        staked.stake(each, 500)
    with boa.reverts("pool is full"):
        staked.stake(staked.stranger, 10**6)
    chain.move(blocks=10)
    order = staked.disputed()
    chain.move(blocks=6)
    staked.escrow.drawArbitrator(order, sender=staked.stranger)
    assert staked.arbitrator(order) in who
    # In these tests storage is warm. On a chain, reading each of five words an arbitrator costs 2,000 more (EIP-2929).
    gas = staked.escrow._computation.get_gas_used() + len(who) * 5 * 2_000
    assert gas < 4_000_000, f"{gas} gas"


def let_miss(market: Market, who: str, times: int) -> None:
    """Draws the arbitrator for orders of its own and says that it missed them all."""
    for order in range(10**6, 10**6 + times):
        escrow = market.escrow.address
        seed = next(seed for seed in seeds(1_000) if drawn(market, order, seed) == who)
        market.pool.draw(order, ZERO, ZERO, chain.height(), seed, sender=escrow)
        market.pool.missed(order, who, sender=escrow)
