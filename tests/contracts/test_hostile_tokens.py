"""Tokens that take fees, lie, overdraw or call back: nobody else loses by them."""

import boa
import pytest
from market import BESIDE, PRODUCT, REFERENCE, Market, fill, load

TAKES_FEE = (True, False, False, False)
SAYS_NO = (False, True, False, False)
SAYS_NO_AND_MOVES_NOTHING = (False, True, True, False)
MOVES_NOTHING = (False, False, True, False)
OVERDRAWS = (False, False, False, True)


@pytest.fixture
def hostile(market: Market):
    token = load(BESIDE / "HostileToken.vy")
    market.escrow.setSupportedToken(token.address, True, sender=market.owner)
    token.mint(market.buyer, 10**12)
    token.mint(market.seller, 10**12)
    return token


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (TAKES_FEE, "transfer not exact"),
        (MOVES_NOTHING, "transfer not exact"),
        (SAYS_NO, "transfer refused"),
        (SAYS_NO_AND_MOVES_NOTHING, "transfer refused"),
    ],
)
def test_an_order_whose_tokens_do_not_arrive_exactly_is_refused(market: Market, hostile, trouble, reason: str):
    hostile.misbehave(*trouble)
    with boa.reverts(reason):
        market.order(hostile)
    assert market.escrow.nextOrderId() == 1
    assert market.escrow.openAmount(hostile.address) == 0


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (MOVES_NOTHING, "transfer not exact"),
        (OVERDRAWS, "transfer not exact"),
        (SAYS_NO, "transfer refused"),
        (SAYS_NO_AND_MOVES_NOTHING, "transfer refused"),
    ],
)
def test_a_withdrawal_that_does_not_leave_exactly_is_undone(market: Market, hostile, trouble, reason: str):
    order = market.delivered(hostile)
    market.escrow.buyerConfirmReceived(order, sender=market.buyer)
    hostile.misbehave(*trouble)
    with boa.reverts(reason):
        market.escrow.withdraw(hostile.address, market.seller, sender=market.seller)
    assert market.credit(market.seller, hostile) == 100 * 10**6
    assert hostile.balanceOf(market.escrow.address) == 102 * 10**6


def test_a_token_that_begins_to_charge_its_receivers_locks_nobody_in(market: Market, hostile):
    order = market.order(hostile)
    hostile.misbehave(*TAKES_FEE)
    market.escrow.cancelOrder(order, sender=market.buyer)
    market.escrow.withdraw(hostile.address, market.buyer, sender=market.buyer)
    assert hostile.balanceOf(market.escrow.address) == 0
    assert hostile.balanceOf(market.buyer) == 10**12 - 1


def attacks(market: Market, hostile, order: int) -> list[bytes]:
    escrow = market.escrow
    terms = (market.seller, hostile.address, 10**6, PRODUCT, REFERENCE)
    return [
        escrow.withdraw.prepare_calldata(hostile.address, hostile.address),
        escrow.createOrder.prepare_calldata(*terms),
        escrow.autoExpireOrder.prepare_calldata(order),
        escrow.cancelOrder.prepare_calldata(order),
    ]


def test_a_token_cannot_call_back_into_the_escrow_while_it_pays_out(market: Market, hostile):
    """The token is a buyer with credits of its own, so that without the lock its calls would be legal."""
    hostile.mint(hostile.address, 10**12)
    owed, still_open = (
        market.escrow.createOrder(market.seller, hostile.address, 10**6, PRODUCT, REFERENCE, sender=hostile.address)
        for _ in range(2)
    )
    market.escrow.cancelOrder(owed, sender=hostile.address)
    paid = market.delivered(hostile)
    market.escrow.buyerConfirmReceived(paid, sender=market.buyer)
    for attack in attacks(market, hostile, still_open):
        with boa.env.anchor():
            hostile.plan(market.escrow.address, attack)
            market.escrow.withdraw(hostile.address, market.seller, sender=market.seller)
            assert hostile.attacked()
            assert not hostile.attackWorked()


def test_a_token_cannot_call_back_into_the_escrow_while_it_is_pulled(market: Market, hostile):
    hostile.mint(hostile.address, 10**12)
    own = market.escrow.createOrder(market.seller, hostile.address, 10**6, PRODUCT, REFERENCE, sender=hostile.address)
    for attack in attacks(market, hostile, own):
        with boa.env.anchor():
            hostile.plan(market.escrow.address, attack)
            market.order(hostile)
            assert hostile.attacked()
            assert not hostile.attackWorked()


def test_the_calls_that_the_lock_refuses_are_legal_on_their_own(market: Market, hostile):
    hostile.mint(hostile.address, 10**12)
    terms = (market.seller, hostile.address, 10**6, PRODUCT, REFERENCE)
    order, owed = (market.escrow.createOrder(*terms, sender=hostile.address) for _ in range(2))
    market.escrow.cancelOrder(owed, sender=hostile.address)
    market.escrow.withdraw(hostile.address, market.stranger, sender=hostile.address)
    market.escrow.createOrder(*terms, sender=hostile.address)
    market.escrow.cancelOrder(order, sender=hostile.address)


def test_one_hostile_token_does_not_touch_orders_in_another(market: Market, hostile):
    fill(market, market.usdc, market.buyer)
    good, bad = market.delivered(), market.delivered(hostile)
    hostile.misbehave(*SAYS_NO_AND_MOVES_NOTHING)
    for order in (good, bad):
        market.escrow.buyerConfirmReceived(order, sender=market.buyer)
    market.escrow.withdraw(market.usdc.address, market.seller, sender=market.seller)
    assert market.credit(market.seller, market.usdc) == 0
