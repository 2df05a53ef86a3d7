"""The blacklist in operators' hands: what a ban does, at once and later, and who may ask for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from eth_account import Account

from entrepot.kernel.wallet import Wallet
from tests.apps.escrow.conftest import Caller, Market, SharedChain, opened_market
from tests.callers import refused
from tests.conftest import TestDatabase

OPERATOR = Account.create()
BANNED = "SELECT is_blacklisted FROM escrow.user_profiles WHERE wallet = $1"
LIVE = "SELECT count(*) FROM escrow.reservations WHERE expires_at > now()"
NOBODY = "0x" + "9" * 40


@pytest.fixture
async def market(database: TestDatabase, chain: SharedChain) -> AsyncIterator[Market]:
    """A market on a chain, with an operator."""
    given = {"operators": (Wallet.parse(OPERATOR.address),), "chains": (chain.settings,)}
    async with opened_market(database, **given) as made:
        await chain.note(made.owner)
        yield made


@pytest.fixture
async def operator(market: Market) -> Caller:
    caller = Caller(market.http, OPERATOR)
    assert (await caller.sign_in(caller.key)).status == 200
    return caller


async def ban(operator: Caller, wallet: str, **more: Any) -> dict[str, Any]:
    answer = await operator.post("admin/blacklist", wallet=wallet, **{"reason": "sold nothing", **more})
    assert answer.status == 201, answer.body
    body: dict[str, Any] = answer.body
    return body


async def pardon(operator: Caller, wallet: str) -> int:
    return (await operator.call("DELETE", f"admin/blacklist/{wallet}")).status


async def test_an_entry_says_who_why_and_by_whom(market: Market, operator: Caller, seller: Caller) -> None:
    made = await ban(operator, seller.wallet.lower(), reason="x" * 200)
    shown = {"wallet": seller.wallet, "reason": "x" * 200, "source": "manual", "added_by": operator.wallet}
    assert shown.items() <= made.items()
    assert (await operator.get("admin/blacklist")).body == {"items": [made], "next_cursor": None}
    row = await market.owner.fetchrow("SELECT wallet, reason, source, added_by FROM escrow.blacklist")
    assert dict(row) == shown


async def test_a_banned_wallet_is_signed_out_and_stays_out_until_it_is_pardoned(
    market: Market, operator: Caller, seller: Caller
) -> None:
    phone = Caller(market.http, seller.account)
    assert (await phone.sign_in()).status == 200
    await ban(operator, seller.wallet)
    assert await market.owner.fetchval(BANNED, seller.wallet)
    assert [(await each.get("orders")).status for each in (seller, phone)] == [401, 401]
    refused(await seller.sign_in(), 403, "wallet-blacklisted")
    assert (await operator.get("orders")).status == 200
    assert await pardon(operator, seller.wallet) == 204
    assert not await market.owner.fetchval(BANNED, seller.wallet)
    assert (await seller.sign_in()).status == 200
    await seller.lists()


async def test_a_banned_seller_s_listings_are_hidden_and_shown_again(
    market: Market, operator: Caller, seller: Caller, buyer: Caller
) -> None:
    listed, other = await seller.lists(), await buyer.lists(title_preview="Another thing")
    await ban(operator, seller.wallet)
    for query in ({}, {"q": "index"}, {"seller": seller.wallet}, {"sort": "price"}):
        assert listed["id"] not in [each["id"] for each in (await buyer.get("products", **query)).body["items"]]
    assert [each["id"] for each in (await buyer.get("products")).body["items"]] == [other["id"]]
    refused(await buyer.get(f"products/{listed['id']}"), 404, "no-such-product")
    refused(await buyer.prepares(listed["id"]), 404, "no-such-product")
    await pardon(operator, seller.wallet)
    assert (await buyer.get(f"products/{listed['id']}")).status == 200
    assert len((await buyer.get("products", q="index")).body["items"]) == 1


async def test_what_was_reserved_by_it_or_of_it_is_free_again_and_nothing_else(
    market: Market, operator: Caller, seller: Caller, buyer: Caller
) -> None:
    other = await market.member()
    own = (await other.lists(stock=1))["id"]
    bought = (await seller.lists())["id"]
    assert (await seller.prepares(own)).status == 201
    assert (await buyer.prepares(bought)).status == 201
    assert (await other.prepares((await buyer.lists())["id"])).status == 201
    refused(await buyer.prepares(own), 409, "out-of-stock")
    assert await market.owner.fetchval(LIVE) == 3
    await ban(operator, seller.wallet)
    assert await market.owner.fetchval(LIVE) == 1
    assert (await buyer.prepares(own)).status == 201


async def test_the_orders_of_a_banned_wallet_go_on_for_the_other_party(
    market: Market, operator: Caller, seller: Caller, buyer: Caller
) -> None:
    order = await market.order(await seller.lists(), buyer)
    await ban(operator, seller.wallet)
    assert (await buyer.get(f"orders/{order}")).body["status"] == "created"
    assert (await buyer.post(f"orders/{order}/cancel")).status == 200


async def test_a_wallet_that_was_never_here_is_banned_before_it_comes(market: Market, operator: Caller) -> None:
    newcomer = market.stranger()
    await ban(operator, newcomer.wallet)
    refused(await newcomer.sign_in(newcomer.key), 403, "wallet-blacklisted")
    assert await market.owner.fetchval(BANNED, newcomer.wallet) is None
    await pardon(operator, newcomer.wallet)
    assert (await newcomer.sign_in(newcomer.key)).status == 200
    assert await market.owner.fetchval(BANNED, newcomer.wallet) is False


async def test_of_a_ban_and_a_sign_in_at_once_no_session_is_left(market: Market, operator: Caller) -> None:
    for _ in range(10):
        newcomer = market.stranger()
        signed_in, _ = await asyncio.gather(newcomer.sign_in(newcomer.key), ban(operator, newcomer.wallet))
        assert signed_in.status in (200, 403)
        left = await market.owner.fetchval("SELECT count(*) FROM core.sessions WHERE wallet = $1", newcomer.wallet)
        assert (left, await market.owner.fetchval(BANNED, newcomer.wallet) in (True, None)) == (0, True)


async def test_who_comes_while_a_ban_is_being_made_waits_for_it(market: Market, seller: Caller, buyer: Caller) -> None:
    listed = await seller.lists()
    async with market.owner.transaction():
        await market.owner.execute("SELECT pg_advisory_xact_lock(3012661807082651787)")
        waiting = [asyncio.create_task(each) for each in (buyer.sign_in(), buyer.prepares(listed["id"]))]
        await asyncio.sleep(0.3)
        assert not any(each.done() for each in waiting)
        await market.owner.execute("INSERT INTO escrow.blacklist (wallet, reason) VALUES ($1, 'x')", buyer.wallet)
    for answer in await asyncio.gather(*waiting):
        refused(answer, 403, "wallet-blacklisted")


async def test_a_wallet_is_banned_once_and_the_first_reason_stands(
    market: Market, operator: Caller, seller: Caller
) -> None:
    made = await ban(operator, seller.wallet)
    before = await market.snapshot()
    again = await operator.post("admin/blacklist", wallet=seller.wallet, reason="another", source="community")
    refused(again, 409, "already-blacklisted")
    assert again.body["reason"] == "sold nothing"
    assert await market.snapshot() == before
    assert (await operator.get("admin/blacklist")).body["items"] == [made]


async def test_of_two_bans_at_once_one_is_made(operator: Caller) -> None:
    bans = [operator.post("admin/blacklist", wallet=NOBODY, reason=f"reason {n}") for n in range(5)]
    assert sorted(answer.status for answer in await asyncio.gather(*bans)) == [201, 409, 409, 409, 409]


async def test_a_repeated_ban_with_its_key_is_answered_as_the_first_was(operator: Caller) -> None:
    body = {"wallet": NOBODY, "reason": "fraud"}
    first, second = [await operator.call("POST", "admin/blacklist", key="k", json=body) for _ in range(2)]
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body


async def test_who_is_not_there_cannot_be_pardoned(market: Market, operator: Caller, seller: Caller) -> None:
    before = await market.snapshot()
    refused(await operator.call("DELETE", f"admin/blacklist/{seller.wallet}"), 404, "not-blacklisted")
    assert await market.snapshot() == before


async def test_pages_show_all_once_the_newest_first_even_those_of_one_moment(market: Market, operator: Caller) -> None:
    sources = ("manual", "community", "tornado")
    wallets = [Wallet.parse(f"0x{n:040x}") for n in range(1, 25)]
    await market.owner.executemany(
        "INSERT INTO escrow.blacklist (wallet, reason, source, created_at) VALUES ($1, 'x', $2, now() - $3::interval)",
        [(wallet, sources[n % 3], timedelta(days=n // 6)) for n, wallet in enumerate(wallets)],
    )
    for query in ({}, {"source": "tornado"}):
        seen: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await operator.get("admin/blacklist", limit="5", **query, **cursor)).body
            seen += page["items"]
            assert len(page["items"]) == 5 or page["next_cursor"] is None
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len({each["wallet"] for each in seen}) == len(seen) == (8 if query else 24)
        assert [each["created_at"] for each in seen] == sorted((each["created_at"] for each in seen), reverse=True)
        assert {each["source"] for each in seen} == ({"tornado"} if query else set(sources))


async def test_what_is_malformed_is_refused_by_field(market: Market, operator: Caller) -> None:
    before = await market.snapshot()
    good = {"wallet": NOBODY, "reason": "x"}
    for field, values in {
        "wallet": ["0x12", NOBODY[:-1] + "z", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", None],
        "reason": ["", " ", "x" * 201, "a\x00b", 7],
        "source": ["rumour", "", None],
        "by": [NOBODY],
        "added_by": [NOBODY],
    }.items():
        for value in values:
            answer = await operator.post("admin/blacklist", **{**good, field: value})
            assert (answer.status, answer.body["field"]) == (422, field), value
    assert (await operator.post("admin/blacklist", wallet=NOBODY)).body["field"] == "reason"
    moment = "2026-11-21T01:02:03.000000Z"
    for field, value in [
        ("limit", "0"),
        ("limit", "101"),
        ("source", "rumour"),
        ("cursor", "x"),
        ("cursor", f"newest~2026-99-21T01:02:03Z~{NOBODY}"),
        ("cursor", f"newest~{moment}~{UUID(int=1)}"),
        ("cursor", f"price~{moment}~{NOBODY}"),
    ]:
        answer = await operator.get("admin/blacklist", **{field: value})
        assert (answer.status, answer.body["field"]) == (422, field), value
    assert (await operator.call("DELETE", "admin/blacklist/0x12")).body["field"] == "wallet"
    assert await market.snapshot() == before


async def test_only_operators_may(market: Market, operator: Caller, seller: Caller) -> None:
    await ban(operator, NOBODY)
    calls: list[tuple[str, str, Any]] = [
        ("GET", "admin/blacklist", None),
        ("POST", "admin/blacklist", {"wallet": operator.wallet, "reason": "x"}),
        ("DELETE", f"admin/blacklist/{NOBODY}", None),
        ("GET", "admin/stats/daily", None),
    ]
    before = await market.snapshot()
    for method, path, body in calls:
        assert (await market.stranger().call(method, path, json=body)).status == 401
        refused(await seller.call(method, path, json=body), 403, "forbidden")
    assert await market.snapshot() == before
