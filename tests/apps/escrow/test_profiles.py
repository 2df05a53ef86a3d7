"""Profiles, as their owner and everyone else see them."""

from eth_account import Account

from tests.apps.escrow.conftest import Caller, Market
from tests.callers import public_key


async def test_anyone_may_see_a_profile_but_not_who_is_blacklisted(market: Market, seller: Caller) -> None:
    answer = await market.stranger().get(f"profile/{seller.wallet}")
    assert answer.status == 200
    assert answer.body["wallet"] == seller.wallet
    assert "is_blacklisted" not in answer.body


async def test_a_wallet_that_never_traded_has_no_profile(market: Market) -> None:
    answer = await market.stranger().get(f"profile/{Account.create().address}")
    assert (answer.status, answer.body["type"]) == (404, "/problems/no-such-profile")


async def test_a_name_can_be_given_changed_and_taken_away(seller: Caller) -> None:
    for name in ("Ada", "Ada & daughters", None):
        answer = await seller.patch("profile", display_name=name)
        assert (answer.status, answer.body["display_name"]) == (200, name)


async def test_a_new_key_takes_the_place_of_the_old_one_which_is_remembered(market: Market, seller: Caller) -> None:
    new = public_key()
    answer = await seller.patch("profile", public_key=new)
    assert (answer.status, answer.body["public_key"], answer.body["display_name"]) == (200, new, None)
    assert (await seller.patch("profile", public_key=new)).status == 200
    kept = await market.owner.fetch("SELECT public_key FROM escrow.public_keys ORDER BY since")
    assert [row[0] for row in kept] == [seller.key, new]


async def test_a_profile_is_changed_by_its_owner_only(market: Market, seller: Caller) -> None:
    assert (await market.stranger().patch("profile", display_name="Eve")).status == 401
    assert (await seller.patch("profile", wallet=seller.wallet, display_name="Eve")).status == 422
    assert (await seller.patch("profile")).status == 422


async def test_a_session_from_before_this_app_was_turned_on_must_be_renewed(market: Market, seller: Caller) -> None:
    await market.owner.execute("DELETE FROM escrow.public_keys")
    await market.owner.execute("DELETE FROM escrow.user_profiles")
    for answer in (await seller.patch("profile", display_name="Ada"), await seller.post("products")):
        assert answer.status in {401, 422}
    assert (await seller.patch("profile", display_name="Ada")).body["type"] == "/problems/sign-in-again"
