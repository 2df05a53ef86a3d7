"""How arbitrators are drawn: by which block, how often, and who never."""

import boa
import chain
from eth_abi import encode
from eth_utils import keccak
from market import DAY, ZERO, Market


def test_a_draw_is_possible_once_its_block_is_past_and_not_before(market: Market):
    order = market.disputed()
    chain.move(blocks=market.escrow.DRAW_DELAY())
    with boa.reverts("too early"):
        market.escrow.drawArbitrator(order, sender=market.stranger)
    chain.move(blocks=1)
    market.escrow.drawArbitrator(order, sender=market.stranger)
    assert market.arbitrator(order) in market.arbitrators


def test_a_draw_gives_the_arbitrator_seven_days_and_tells_so(market: Market):
    order = market.disputed()
    chain.move(blocks=6)
    name, told = market.act(market.stranger, "drawArbitrator", order)
    assert (name, told["orderId"], told["arbitrator"]) == ("ArbitratorDrawn", order, market.arbitrator(order))
    assert (told["deadline"], told["defaultDeadline"]) == (chain.now() + 7 * DAY, chain.now() + 8 * DAY)
    stored = market.get(order)
    assert (stored.rulingDeadline, stored.defaultDeadline) == (chain.now() + 7 * DAY, chain.now() + 8 * DAY)


def test_the_seed_is_that_of_the_fixed_block_whenever_the_draw_is_made(market: Market):
    order, opened = market.disputed(), chain.height()
    block = market.get(order).drawBlock
    seed = keccak(encode(["bytes32", "address", "uint256"], [chain.block_hash(block), market.escrow.address, order]))
    for waited in (1, 100, 256):
        with boa.env.anchor():
            chain.move(blocks=block + waited - chain.height())
            market.escrow.drawArbitrator(order, sender=market.stranger)
            assert market.pool.lastSeed() == seed
            assert market.pool.lastCalledBlock() == opened
            assert market.arbitrator(order) == market.arbitrators[int.from_bytes(seed) % 4]


def test_a_block_that_the_chain_forgot_is_replaced_by_a_coming_one(market: Market):
    order = market.disputed()
    chain.move(blocks=market.get(order).drawBlock + 257 - chain.height())
    coming = chain.height() + market.escrow.DRAW_DELAY()
    assert market.act(market.stranger, "drawArbitrator", order) == (
        "DrawPostponed",
        {"orderId": order, "missed": ZERO, "drawBlock": coming},
    )
    assert market.arbitrator(order) == ZERO
    assert market.draw(order) in market.arbitrators


def test_when_nobody_is_eligible_the_draw_is_put_off(market: Market):
    order = market.disputed()
    market.pool.setCandidates([])
    chain.move(blocks=6)
    coming = chain.height() + market.escrow.DRAW_DELAY()
    assert market.act(market.stranger, "drawArbitrator", order) == (
        "DrawPostponed",
        {"orderId": order, "missed": ZERO, "drawBlock": coming},
    )
    market.pool.setCandidates(market.arbitrators)
    with boa.reverts("too early"):
        market.escrow.drawArbitrator(order, sender=market.stranger)
    assert market.draw(order) in market.arbitrators


def test_a_party_is_never_arbitrator_whatever_the_pool_says(market: Market):
    order = market.disputed()
    chain.move(blocks=6)
    for party in (market.buyer, market.seller):
        market.pool.force(party)
        with boa.reverts("bad arbitrator"):
            market.escrow.drawArbitrator(order, sender=market.stranger)


def test_an_arbitrator_in_time_is_not_replaced(market: Market):
    order = market.drawn()
    chain.move_to(market.get(order).rulingDeadline - 1)
    chain.move(blocks=100)
    with boa.reverts("too early"):
        market.escrow.drawArbitrator(order, sender=market.buyer)


def test_an_arbitrator_that_missed_its_deadline_is_told_on_and_removed(market: Market):
    order = market.drawn()
    missed = market.arbitrator(order)
    chain.move_to(market.get(order).rulingDeadline)
    coming = chain.height() + market.escrow.DRAW_DELAY()
    assert market.act(market.stranger, "drawArbitrator", order) == (
        "DrawPostponed",
        {"orderId": order, "missed": missed, "drawBlock": coming},
    )
    assert market.pool.missedBy(order, missed)
    assert market.escrow.hasMissed(order, missed)
    assert market.arbitrator(order) == ZERO


def test_another_arbitrator_is_drawn_and_can_rule(market: Market):
    order = market.drawn()
    missed = market.arbitrator(order)
    second = market.redraw(order)
    assert second not in (missed, ZERO)
    assert market.get(order).rulingDeadline == chain.now() + 7 * DAY
    with boa.reverts("not the arbitrator"):
        market.escrow.resolveDispute(order, False, sender=missed)
    market.escrow.resolveDispute(order, False, sender=second)
    assert (market.credit(missed), market.credit(second)) == (0, 5 * 10**6)


def test_an_arbitrator_that_missed_is_not_drawn_again_whatever_the_pool_says(market: Market):
    order = market.drawn()
    market.pool.force(market.arbitrator(order))
    with boa.reverts("bad arbitrator"):
        market.redraw(order)


def test_the_window_for_another_draw_ends_a_day_after_the_missed_deadline(market: Market):
    order = market.drawn()
    chain.move_to(market.get(order).rulingDeadline + DAY - 1)
    with boa.env.anchor():
        market.escrow.drawArbitrator(order, sender=market.stranger)
        chain.move(seconds=1, blocks=6)
        with boa.reverts("too late"):
            market.escrow.drawArbitrator(order, sender=market.stranger)
        market.escrow.autoResolveDispute(order, sender=market.stranger)
    chain.move(seconds=1)
    with boa.reverts("too late"):
        market.escrow.drawArbitrator(order, sender=market.stranger)


def test_after_three_arbitrators_nobody_else_is_drawn(market: Market):
    order = market.drawn()
    assert len({market.arbitrator(order), market.redraw(order), market.redraw(order)}) == 3
    stored = market.get(order)
    assert (stored.draws, stored.defaultDeadline) == (3, stored.rulingDeadline)
    chain.move_to(stored.rulingDeadline)
    with boa.reverts("too late"):
        market.escrow.drawArbitrator(order, sender=market.stranger)
    market.escrow.autoResolveDispute(order, sender=market.stranger)
    assert market.credit(market.buyer) == 102 * 10**6


def test_a_draw_that_fails_changes_nothing_and_the_default_ruling_still_comes(market: Market):
    order = market.disputed()
    market.pool.misbehave(True, False, False, False)
    chain.move(blocks=6)
    with boa.reverts("pool closed"):
        market.escrow.drawArbitrator(order, sender=market.stranger)
    chain.move_to(market.get(order).defaultDeadline)
    market.escrow.autoResolveDispute(order, sender=market.stranger)
    assert market.credit(market.buyer) == 102 * 10**6


def test_a_pool_cannot_call_back_into_the_escrow(market: Market):
    order = market.disputed()
    market.pool.misbehave(False, True, False, False)
    chain.move(blocks=6)
    with boa.reverts():
        market.escrow.drawArbitrator(order, sender=market.stranger)
    assert market.arbitrator(order) == ZERO
