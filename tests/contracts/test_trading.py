"""The way of an undisputed order: delivered, received, cancelled, expired, released; and the edges of its deadlines."""

import boa
import chain
import pytest
from market import DELIVERY, HOUR, NO_HASH, Market, Status


def test_a_delivery_starts_the_buyers_seventy_two_hours(market: Market):
    order = market.order()
    deadline = chain.now() + 72 * HOUR
    assert market.act(market.seller, "sellerConfirmDelivery", order, DELIVERY) == (
        "SellerConfirmed",
        {"orderId": order, "deliveryHash": DELIVERY, "releaseDeadline": deadline},
    )
    stored = market.get(order)
    assert (stored.status, stored.deliveryHash) == (Status.SELLER_CONFIRMED, DELIVERY)
    assert stored.releaseDeadline == deadline


def test_only_the_seller_confirms_a_delivery(market: Market):
    order = market.order()
    for other in (market.buyer, market.stranger, market.owner):
        with boa.reverts("not the seller"):
            market.escrow.sellerConfirmDelivery(order, DELIVERY, sender=other)


def test_a_delivery_needs_a_hash(market: Market):
    order = market.order()
    with boa.reverts("no delivery hash"):
        market.escrow.sellerConfirmDelivery(order, NO_HASH, sender=market.seller)


def test_a_seller_may_confirm_one_second_before_the_deadline_and_not_at_it(market: Market):
    late, in_time = market.order(), market.order()
    chain.move_to(market.get(late).sellerDeadline - 1)
    market.escrow.sellerConfirmDelivery(in_time, DELIVERY, sender=market.seller)
    chain.move(seconds=1)
    with boa.reverts("too late"):
        market.escrow.sellerConfirmDelivery(late, DELIVERY, sender=market.seller)


def test_an_order_expires_at_the_sellers_deadline_and_not_before(market: Market):
    order = market.order()
    chain.move_to(market.get(order).sellerDeadline - 1)
    with boa.reverts("too early"):
        market.escrow.autoExpireOrder(order, sender=market.stranger)
    chain.move(seconds=1)
    assert market.act(market.stranger, "autoExpireOrder", order) == (
        "OrderExpired",
        {"orderId": order, "refund": 102 * 10**6},
    )
    assert market.status(order) == Status.EXPIRED
    assert market.credit(market.buyer) == 102 * 10**6


@pytest.mark.parametrize("who", ["buyer", "seller"])
def test_either_party_cancels_and_the_event_names_who(market: Market, who: str):
    order, party = market.order(), getattr(market, who)
    assert market.act(party, "cancelOrder", order) == (
        "OrderCancelled",
        {"orderId": order, "by": party, "refund": 102 * 10**6},
    )
    assert market.status(order) == Status.CANCELLED
    assert market.credit(market.buyer) == 102 * 10**6
    assert market.credit(market.seller) == market.credit(market.treasury) == 0


def test_an_order_may_be_cancelled_after_the_sellers_deadline_too(market: Market):
    order = market.order()
    chain.move_to(market.get(order).sellerDeadline + 1)
    market.escrow.cancelOrder(order, sender=market.seller)
    assert market.status(order) == Status.CANCELLED


def test_nobody_else_cancels(market: Market):
    order = market.order()
    for other in (market.stranger, market.owner, market.treasury):
        with boa.reverts("not a party"):
            market.escrow.cancelOrder(order, sender=other)


def test_a_delivered_order_is_not_cancelled(market: Market):
    order = market.delivered()
    for party in (market.buyer, market.seller):
        with boa.reverts("wrong status"):
            market.escrow.cancelOrder(order, sender=party)


def test_a_buyer_who_confirms_pays_the_seller_and_the_treasury(market: Market):
    order = market.delivered()
    assert market.act(market.buyer, "buyerConfirmReceived", order) == (
        "OrderCompleted",
        {"orderId": order, "automatic": False, "sellerPayout": 100 * 10**6, "treasuryPayout": 2 * 10**6},
    )
    assert market.status(order) == Status.COMPLETED
    assert market.credit(market.seller) == 100 * 10**6
    assert market.credit(market.treasury) == 2 * 10**6
    assert market.escrow.openAmount(market.usdc.address) == 0


def test_a_seller_cannot_confirm_receipt(market: Market):
    order = market.delivered()
    for other in (market.seller, market.stranger, market.owner):
        with boa.reverts("not the buyer"):
            market.escrow.buyerConfirmReceived(order, sender=other)


def test_nothing_is_received_before_it_was_delivered(market: Market):
    order = market.order()
    with boa.reverts("wrong status"):
        market.escrow.buyerConfirmReceived(order, sender=market.buyer)


def test_an_order_is_released_at_the_buyers_deadline_and_not_before(market: Market):
    order = market.delivered()
    chain.move_to(market.get(order).releaseDeadline - 1)
    with boa.reverts("too early"):
        market.escrow.autoReleaseToSeller(order, sender=market.stranger)
    chain.move(seconds=1)
    assert market.act(market.stranger, "autoReleaseToSeller", order) == (
        "OrderCompleted",
        {"orderId": order, "automatic": True, "sellerPayout": 100 * 10**6, "treasuryPayout": 2 * 10**6},
    )
    assert market.credit(market.seller) == 100 * 10**6


def test_a_buyer_may_confirm_after_the_deadline_as_long_as_nobody_released(market: Market):
    order = market.delivered()
    chain.move_to(market.get(order).releaseDeadline + 1)
    market.escrow.buyerConfirmReceived(order, sender=market.buyer)
    assert market.status(order) == Status.COMPLETED


def test_an_order_ends_only_once(market: Market):
    order = market.delivered()
    market.escrow.buyerConfirmReceived(order, sender=market.buyer)
    chain.move_to(market.get(order).releaseDeadline + 1)
    ends = [
        ("buyerConfirmReceived", market.buyer),
        ("cancelOrder", market.seller),
        ("openDispute", market.buyer),
        ("autoReleaseToSeller", market.stranger),
        ("autoExpireOrder", market.stranger),
        ("autoResolveDispute", market.stranger),
        ("drawArbitrator", market.stranger),
    ]
    for call, caller in ends:
        with boa.reverts("wrong status"):
            getattr(market.escrow, call)(order, sender=caller)
    assert market.credit(market.seller) == 100 * 10**6


def test_what_the_owner_changes_later_does_not_change_an_order(market: Market):
    order = market.delivered()
    market.escrow.setPlatformFee(1_000, sender=market.owner)
    market.escrow.setTreasury(market.stranger, sender=market.owner)
    market.escrow.setSupportedToken(market.usdc.address, False, sender=market.owner)
    market.escrow.buyerConfirmReceived(order, sender=market.buyer)
    assert market.credit(market.treasury) == 2 * 10**6
    assert market.credit(market.stranger) == 0
