"""What the owner may set, what nobody else may, and that neither reaches anybody's money."""

import boa
import chain
import pytest
from market import CONTRACTS, ZERO, Market, Status, load


def owner_calls(market: Market) -> list[tuple]:
    return [
        ("setSupportedToken", market.usdc.address, False),
        ("setTreasury", market.stranger),
        ("setPlatformFee", 100),
        ("pause",),
        ("unpause",),
    ]


def test_nobody_but_the_owner_sets_anything(market: Market):
    for other in (market.buyer, market.seller, market.treasury, market.stranger, market.pool.address):
        for call, *arguments in owner_calls(market):
            with boa.reverts("not the owner"):
                getattr(market.escrow, call)(*arguments, sender=other)


def test_every_setting_is_told_in_one_event(market: Market):
    told = [market.act(market.owner, call, *arguments) for call, *arguments in owner_calls(market)]
    assert told == [
        ("TokenSupported", {"token": market.usdc.address, "supported": False, "decimals": 0}),
        ("TreasurySet", {"treasury": market.stranger}),
        ("PlatformFeeSet", {"feeBps": 100}),
        ("Paused", {"by": market.owner}),
        ("Unpaused", {"by": market.owner}),
    ]


def test_an_allowed_token_is_told_with_its_own_decimals(market: Market):
    for token, decimals in ((market.usdc, 6), (market.usdt, 18)):
        assert market.act(market.owner, "setSupportedToken", token.address, True) == (
            "TokenSupported",
            {"token": token.address, "supported": True, "decimals": decimals},
        )
        assert market.escrow.isSupported(token.address)


@pytest.mark.parametrize("decimals", [0, 5, 19, 255])
def test_a_token_with_fewer_than_six_or_more_than_eighteen_decimals_is_refused(market: Market, decimals: int):
    token = load(CONTRACTS / "TestUSDC.vy", "Odd", "ODD", decimals)
    with boa.reverts("bad decimals"):
        market.escrow.setSupportedToken(token.address, True, sender=market.owner)
    assert not market.escrow.isSupported(token.address)


def test_an_address_without_code_is_no_token(market: Market):
    for nothing in (ZERO, market.stranger):
        with boa.reverts("no token"):
            market.escrow.setSupportedToken(nothing, True, sender=market.owner)


def test_the_platform_fee_has_a_ceiling(market: Market):
    market.escrow.setPlatformFee(1_000, sender=market.owner)
    with boa.reverts("fee too high"):
        market.escrow.setPlatformFee(1_001, sender=market.owner)
    assert market.get(market.order()).fee == 10 * 10**6


def test_a_fee_of_nothing_is_a_fee(market: Market):
    market.escrow.setPlatformFee(0, sender=market.owner)
    order = market.delivered()
    market.escrow.buyerConfirmReceived(order, sender=market.buyer)
    assert (market.credit(market.seller), market.credit(market.treasury)) == (100 * 10**6, 0)


def test_the_treasury_is_somebody_who_can_withdraw(market: Market):
    for nobody in (ZERO, market.escrow.address):
        with boa.reverts("bad treasury"):
            market.escrow.setTreasury(nobody, sender=market.owner)


def test_a_pause_and_its_end_are_said_once(market: Market):
    with boa.reverts("not paused"):
        market.escrow.unpause(sender=market.owner)
    market.escrow.pause(sender=market.owner)
    assert market.escrow.paused()
    with boa.reverts("paused"):
        market.escrow.pause(sender=market.owner)


def test_an_escrow_is_not_deployed_with_a_fee_over_the_ceiling_or_without_a_treasury(market: Market):
    with boa.reverts("fee too high"):
        load(CONTRACTS / "P2PEscrow.vy", ZERO, market.treasury, 1_001)
    with boa.reverts("bad treasury"):
        load(CONTRACTS / "P2PEscrow.vy", ZERO, ZERO, 200)


def test_a_pause_never_stops_a_party_from_getting_out(market: Market):
    cancelled, expired, delivered = market.order(), market.order(), market.order()
    received, released, ruled, defaulted = (market.delivered() for _ in range(4))
    market.escrow.pause(sender=market.owner)
    market.act(market.seller, "sellerConfirmDelivery", delivered, b"d" * 32)
    market.act(market.seller, "cancelOrder", cancelled)
    market.act(market.buyer, "buyerConfirmReceived", received)
    for disputed in (ruled, defaulted):
        market.act(market.buyer, "openDispute", disputed)
        market.act(market.seller, "submitEvidence", disputed, "bafy")
        market.draw(disputed)
    market.act(market.arbitrator(ruled), "resolveDispute", ruled, False)
    chain.move_to(market.get(defaulted).defaultDeadline)
    market.act(market.stranger, "autoExpireOrder", expired)
    market.act(market.stranger, "autoReleaseToSeller", released)
    market.act(market.stranger, "autoReleaseToSeller", delivered)
    market.act(market.stranger, "autoResolveDispute", defaulted)
    for who in (market.buyer, market.seller, market.treasury, market.arbitrator(ruled)):
        market.act(who, "withdraw", market.usdc.address, who)
    assert market.usdc.balanceOf(market.escrow.address) == 0
    assert market.status(ruled) == Status.RESOLVED_SELLER
