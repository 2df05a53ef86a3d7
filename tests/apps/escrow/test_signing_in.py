"""What signing in does to a profile."""

import asyncio

from tests.apps.escrow.conftest import Market
from tests.callers import public_key

KEYS = "SELECT public_key FROM escrow.public_keys WHERE wallet = $1 ORDER BY since"
KEY = "SELECT public_key FROM escrow.user_profiles WHERE wallet = $1"


async def test_the_first_sign_in_makes_the_profile_with_the_given_key(market: Market) -> None:
    newcomer = market.stranger()
    assert (await newcomer.sign_in(newcomer.key)).status == 200
    profile = (await newcomer.get(f"profile/{newcomer.wallet}")).body
    assert (profile["public_key"], profile["tier"], profile["total_trades"]) == (newcomer.key, "new", 0)
    assert [row[0] for row in await market.owner.fetch(KEYS, newcomer.wallet)] == [newcomer.key]


async def test_the_first_sign_in_needs_a_key(market: Market) -> None:
    newcomer = market.stranger()
    refused = await newcomer.sign_in()
    assert (refused.status, refused.body["field"]) == (422, "public_key")
    assert await market.owner.fetchval("SELECT count(*) FROM escrow.user_profiles") == 0
    assert await market.owner.fetchval("SELECT count(*) FROM core.sessions") == 0


async def test_a_later_sign_in_needs_no_key_and_replaces_none(market: Market) -> None:
    member = await market.member()
    assert (await member.sign_in()).status == 200
    assert (await member.sign_in(public_key())).status == 200
    assert await market.owner.fetchval(KEY, member.wallet) == member.key
    assert await market.owner.fetchval("SELECT count(*) FROM escrow.public_keys") == 1


async def test_a_profile_that_only_the_mirror_made_gets_its_key(market: Market) -> None:
    trader = market.stranger()
    await market.owner.execute("INSERT INTO escrow.user_profiles (wallet, public_key) VALUES ($1, '')", trader.wallet)
    assert (await trader.get(f"profile/{trader.wallet}")).body["public_key"] is None
    assert (await trader.sign_in()).status == 422
    assert (await trader.sign_in(trader.key)).status == 200
    assert (await trader.get(f"profile/{trader.wallet}")).body["public_key"] == trader.key
    assert [row[0] for row in await market.owner.fetch(KEYS, trader.wallet)] == [trader.key]


async def test_a_blacklisted_wallet_cannot_sign_in_known_here_or_not(market: Market) -> None:
    member, stranger = await market.member(), market.stranger()
    for caller in (member, stranger):
        await market.ban(caller.wallet)
        refused = await caller.sign_in(caller.key)
        assert (refused.status, refused.body["type"]) == (403, "/problems/wallet-blacklisted")
    assert await market.owner.fetchval("SELECT count(*) FROM core.sessions WHERE wallet = $1", stranger.wallet) == 0


async def test_a_wallet_whose_profile_alone_says_so_is_blacklisted_too(market: Market) -> None:
    member = await market.member()
    await market.owner.execute("UPDATE escrow.user_profiles SET is_blacklisted = true")
    assert (await member.sign_in()).status == 403


async def test_of_two_first_sign_ins_at_once_one_key_is_kept(market: Market) -> None:
    for _ in range(5):
        newcomer = market.stranger()
        answers = await asyncio.gather(*(newcomer.sign_in(public_key()) for _ in range(4)))
        assert {answer.status for answer in answers} == {200}
        kept = [row[0] for row in await market.owner.fetch(KEYS, newcomer.wallet)]
        assert kept == [await market.owner.fetchval(KEY, newcomer.wallet)]
