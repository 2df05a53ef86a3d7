"""Opening a dispute, evidence, rulings, and the default ruling when nobody rules."""

import boa
import chain
import pytest
from market import CONTRACTS, DAY, ZERO, Market, Status, load, one


@pytest.mark.parametrize("who", ["buyer", "seller"])
def test_either_party_opens_a_dispute_and_the_event_names_who(market: Market, who: str):
    order, party = market.delivered(), getattr(market, who)
    assert market.act(party, "openDispute", order) == (
        "DisputeOpened",
        {
            "orderId": order,
            "by": party,
            "drawBlock": chain.height() + market.escrow.DRAW_DELAY(),
            "deadline": chain.now() + 7 * DAY,
        },
    )
    assert market.status(order) == Status.DISPUTED
    assert market.get(order).defaultDeadline == chain.now() + 7 * DAY


def test_nobody_else_opens_a_dispute(market: Market):
    order = market.delivered()
    for other in (market.stranger, market.owner, market.arbitrators[0]):
        with boa.reverts("not a party"):
            market.escrow.openDispute(order, sender=other)


def test_there_is_no_dispute_before_the_delivery(market: Market):
    order = market.order()
    with boa.reverts("wrong status"):
        market.escrow.openDispute(order, sender=market.buyer)


def test_a_dispute_may_open_one_second_before_the_release_and_not_at_it(market: Market):
    late, in_time = market.delivered(), market.delivered()
    chain.move_to(market.get(late).releaseDeadline - 1)
    market.escrow.openDispute(in_time, sender=market.buyer)
    chain.move(seconds=1)
    with boa.reverts("too late"):
        market.escrow.openDispute(late, sender=market.buyer)


def test_a_dispute_stops_the_buyers_timer(market: Market):
    order = market.disputed()
    chain.move_to(market.get(order).releaseDeadline)
    with boa.reverts("wrong status"):
        market.escrow.autoReleaseToSeller(order, sender=market.seller)
    with boa.reverts("wrong status"):
        market.escrow.buyerConfirmReceived(order, sender=market.buyer)


@pytest.mark.parametrize("token", ["usdc", "usdt"])
def test_a_ruling_for_the_buyer_costs_the_buyer_five_percent(market: Market, token: str):
    money = getattr(market, token)
    order, unit = market.drawn(money), one(money)
    arbitrator = market.arbitrator(order)
    assert market.act(arbitrator, "resolveDispute", order, True) == (
        "DisputeResolved",
        {
            "orderId": order,
            "arbitrator": arbitrator,
            "favorBuyer": True,
            "automatic": False,
            "buyerPayout": 97 * unit,
            "sellerPayout": 0,
            "arbitratorPayout": 5 * unit,
            "treasuryPayout": 0,
        },
    )
    assert market.status(order) == Status.RESOLVED_BUYER
    assert (market.credit(market.buyer, money), market.credit(arbitrator, money)) == (97 * unit, 5 * unit)
    assert market.credit(market.seller, money) == market.credit(market.treasury, money) == 0


@pytest.mark.parametrize("token", ["usdc", "usdt"])
def test_a_ruling_for_the_seller_costs_the_seller_five_percent(market: Market, token: str):
    money = getattr(market, token)
    order, unit = market.drawn(money), one(money)
    arbitrator = market.arbitrator(order)
    name, told = market.act(arbitrator, "resolveDispute", order, False)
    assert (name, told["favorBuyer"], told["automatic"]) == ("DisputeResolved", False, False)
    assert (told["buyerPayout"], told["sellerPayout"]) == (0, 95 * unit)
    assert (told["arbitratorPayout"], told["treasuryPayout"]) == (5 * unit, 2 * unit)
    assert market.status(order) == Status.RESOLVED_SELLER
    assert (market.credit(market.seller, money), market.credit(arbitrator, money)) == (95 * unit, 5 * unit)
    assert (market.credit(market.treasury, money), market.credit(market.buyer, money)) == (2 * unit, 0)


def test_only_the_arbitrator_of_the_order_rules(market: Market):
    order = market.drawn()
    others = [each for each in market.people if each != market.arbitrator(order)]
    for other in others:
        with boa.reverts("not the arbitrator"):
            market.escrow.resolveDispute(order, True, sender=other)


def test_nobody_rules_before_an_arbitrator_is_drawn(market: Market):
    order = market.disputed()
    with boa.reverts("not the arbitrator"):
        market.escrow.resolveDispute(order, True, sender=market.arbitrators[0])


def test_an_arbitrator_may_rule_one_second_before_the_deadline_and_not_at_it(market: Market):
    late, in_time = market.drawn(), market.drawn()
    chain.move_to(market.get(late).rulingDeadline - 1)
    market.escrow.resolveDispute(late, True, sender=market.arbitrator(late))
    chain.move_to(market.get(in_time).rulingDeadline)
    with boa.reverts("too late"):
        market.escrow.resolveDispute(in_time, True, sender=market.arbitrator(in_time))


def test_the_pool_is_told_of_a_ruling(market: Market):
    order = market.drawn()
    market.escrow.resolveDispute(order, True, sender=market.arbitrator(order))
    assert market.pool.ruledBy(order) == market.arbitrator(order)


def test_the_default_ruling_refunds_the_buyer_in_full(market: Market):
    order = market.disputed()
    chain.move_to(market.get(order).defaultDeadline)
    assert market.act(market.stranger, "autoResolveDispute", order) == (
        "DisputeResolved",
        {
            "orderId": order,
            "arbitrator": ZERO,
            "favorBuyer": True,
            "automatic": True,
            "buyerPayout": 102 * 10**6,
            "sellerPayout": 0,
            "arbitratorPayout": 0,
            "treasuryPayout": 0,
        },
    )
    assert market.status(order) == Status.RESOLVED_BUYER
    assert market.credit(market.buyer) == 102 * 10**6


def test_the_default_ruling_comes_at_its_deadline_and_not_before(market: Market):
    undrawn, drawn = market.disputed(), market.drawn()
    for order in (undrawn, drawn):
        chain.move_to(market.get(order).defaultDeadline - 1)
        with boa.reverts("too early"):
            market.escrow.autoResolveDispute(order, sender=market.buyer)
        chain.move(seconds=1)
        market.escrow.autoResolveDispute(order, sender=market.buyer)


def test_an_arbitrator_that_missed_earns_nothing_from_the_default_ruling_and_is_told_on(market: Market):
    order = market.drawn()
    arbitrator = market.arbitrator(order)
    chain.move_to(market.get(order).defaultDeadline)
    market.escrow.autoResolveDispute(order, sender=market.buyer)
    assert market.credit(arbitrator) == 0
    assert market.pool.missedBy(order, arbitrator)


def test_without_a_pool_a_dispute_ends_by_the_default_ruling(market: Market):
    with boa.env.prank(market.owner):
        escrow = load(CONTRACTS / "P2PEscrow.vy", ZERO, market.treasury, 200)
        escrow.setSupportedToken(market.usdc.address, True)
    alone = Market(**{**vars(market), "escrow": escrow})
    market.usdc.approve(escrow.address, 2**256 - 1, sender=market.buyer)
    order = alone.disputed()
    chain.move(blocks=50)
    with boa.reverts("no pool"):
        escrow.drawArbitrator(order, sender=market.stranger)
    chain.move_to(alone.get(order).defaultDeadline)
    escrow.autoResolveDispute(order, sender=market.stranger)
    assert alone.credit(market.buyer) == 102 * 10**6


def test_either_party_submits_evidence_while_the_dispute_lasts(market: Market):
    order, cid = market.disputed(), "bafy" + "a" * 96
    for party in (market.buyer, market.seller):
        assert market.act(party, "submitEvidence", order, cid) == (
            "EvidenceSubmitted",
            {"orderId": order, "by": party, "cid": cid},
        )


def test_evidence_needs_a_party_an_open_dispute_and_an_address(market: Market):
    delivered, order = market.delivered(), market.disputed()
    with boa.reverts("wrong status"):
        market.escrow.submitEvidence(delivered, "bafy", sender=market.buyer)
    with boa.reverts("not a party"):
        market.escrow.submitEvidence(order, "bafy", sender=market.stranger)
    with boa.reverts("no evidence"):
        market.escrow.submitEvidence(order, "", sender=market.buyer)
    chain.move_to(market.get(order).defaultDeadline - 1)
    market.escrow.submitEvidence(order, "bafy", sender=market.buyer)
    chain.move(seconds=1)
    with boa.reverts("too late"):
        market.escrow.submitEvidence(order, "bafy", sender=market.buyer)
