"""Bad input is refused with the field named, and nothing is written."""

import base64
from typing import Any
from uuid import UUID

import pytest

from tests.apps.escrow.conftest import LISTING, Caller, Market, opened_market
from tests.apps.escrow.test_messages import box
from tests.conftest import TestDatabase

WRONG_CHECKSUM = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"
JSON = {"Content-Type": "application/json"}
CURSOR = "newest~2026-11-21T01:02:03.000000Z~00000000-0000-7000-8000-000000000000"
QUERIES = [
    ("products", {"cursor": "nonsense"}, "cursor"),
    ("products", {"cursor": CURSOR, "sort": "price"}, "cursor"),
    ("products", {"cursor": CURSOR.replace("2026-11-21", "2026-99-21")}, "cursor"),
    ("products", {"cursor": CURSOR.replace("2026-11-21T01:02:03.000000Z", "25.00")}, "cursor"),
    ("products", {"cursor": "best_selling~9999999999~" + CURSOR[-36:], "sort": "best_selling"}, "cursor"),
    ("products", {"cursor": "price~1.0000001~" + CURSOR[-36:], "sort": "price"}, "cursor"),
    ("products", {"cursor": "price~25.00~" + CURSOR[-36:], "sort": "price_desc"}, "cursor"),
    ("products", {"limit": "0"}, "limit"),
    ("products", {"limit": "101"}, "limit"),
    ("products", {"limit": "many"}, "limit"),
    ("products", {"category": "weapons"}, "category"),
    ("products", {"sort": "random"}, "sort"),
    ("products", {"min_price": "1e3"}, "min_price"),
    ("products", {"max_price": "0.0000001"}, "max_price"),
    ("products", {"seller": WRONG_CHECKSUM}, "seller"),
    ("products", {"q": ""}, "q"),
    ("products", {"q": "a\x00b"}, "q"),
    ("products", {"q": "x" * 101}, "q"),
    ("products", {"page": "2"}, "page"),
    ("products/7", {}, "id"),
    (f"profile/{WRONG_CHECKSUM}", {}, "wallet"),
    ("profile/0x12", {}, "wallet"),
    ("orders", {"status": "lost"}, "status"),
    ("orders", {"role": "judge"}, "role"),
    ("orders", {"cursor": CURSOR[:-1]}, "cursor"),
    ("orders", {"limit": "101"}, "limit"),
    ("orders/1", {}, "id"),
    (f"orders/{UUID(int=1)}/messages", {"limit": "0"}, "limit"),
    (f"orders/{UUID(int=1)}/messages", {"cursor": "x"}, "cursor"),
]
LISTINGS = [
    ({"price_usdt": "0.999999"}, "price_usdt"),
    ({"price_usdt": "1.0000001"}, "price_usdt"),
    ({"price_usdt": 25.0}, "price_usdt"),
    ({"price_usdt": "NaN"}, "price_usdt"),
    ({"price_usdt": "-5"}, "price_usdt"),
    ({"price_usdt": "100000000000.000001"}, "price_usdt"),
    ({"stock": 0}, "stock"),
    ({"stock": 1_000_001}, "stock"),
    ({"stock": "3"}, "stock"),
    ({"stock": 1.5}, "stock"),
    ({"product_hash": "0x" + "ab" * 31}, "product_hash"),
    ({"product_hash": "0x" + "zz" * 32}, "product_hash"),
    ({"description_preview": "x" * 501}, "description_preview"),
    ({"category": None}, "category"),
    ({"status": "active"}, "status"),
    ({"by": "0x" + "0" * 40}, "by"),
    ({"seller_wallet": "0x" + "0" * 40}, "seller_wallet"),
]


def named(answer: Any, field: str) -> None:
    """It was refused, and that field is why."""
    assert answer.status == 422, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.body["type"], answer.body["field"]) == ("/problems/malformed", field), answer.body


async def test_a_query_that_is_malformed_is_refused_by_field(seller: Caller) -> None:
    for path, query, field in QUERIES:
        named(await seller.get(path, **query), field)


async def test_a_listing_that_is_malformed_is_refused_by_field_and_not_kept(market: Market, seller: Caller) -> None:
    path = f"products/{(await seller.lists())['id']}"
    before = await market.snapshot()
    for change, field in LISTINGS:
        named(await seller.post("products", **{**LISTING, **change}), field)
        if change not in ({"stock": 0}, {"status": "active"}):
            named(await seller.patch(path, **change), field)
    for missing in LISTING:
        named(await seller.post("products", **{name: LISTING[name] for name in LISTING if name != missing}), missing)
    named(await seller.patch(path), "body")
    named(await seller.patch(path, status="deleted"), "status")
    named(await seller.patch(path, id=path[-36:]), "id")
    assert await market.snapshot() == before


async def test_a_body_that_is_no_json_object_is_refused(market: Market, seller: Caller) -> None:
    before = await market.snapshot()
    for body in (b"{", b"[]", b"7", b'{"title_preview": "\xff"}', b'{"title_preview": "\\ud800"}'):
        named(await seller.call("POST", "products", data=body, headers=JSON), "body")
    assert await market.snapshot() == before


async def test_what_is_malformed_in_a_message_is_refused_by_field(
    market: Market, seller: Caller, buyer: Caller
) -> None:
    path = f"orders/{await market.order(await seller.lists(), buyer)}/messages"
    before = await market.snapshot()
    for octets in (0, 23, 25, 32):
        named(await buyer.post(path, **box(nonce=base64.b64encode(bytes(octets)).decode())), "nonce")
    for text in ("", "####", "abc", "YWJj\n", "YWJ=", " YWJj", 7):
        named(await buyer.post(path, **box(ciphertext=text)), "ciphertext")
    named(await buyer.post(path, **box(), plaintext="hello"), "plaintext")
    assert await market.snapshot() == before


async def test_what_is_malformed_in_a_delivery_is_refused_by_field(
    market: Market, seller: Caller, buyer: Caller
) -> None:
    path = f"orders/{await market.order(await seller.lists(), buyer)}/delivery"
    good = {"product_key_encrypted": "c2VhbGVk", "buyer_public_key": buyer.key}
    before = await market.snapshot()
    for size in (16_385, 16_386, 40_000):
        long = base64.b64encode(bytes(size)).decode()
        named(await seller.post(path, **{**good, "product_key_encrypted": long}), "product_key_encrypted")
    named(await seller.post(path, **{**good, "product_key_encrypted": "c2VhbGV"}), "product_key_encrypted")
    named(await seller.post(path, **{**good, "buyer_public_key": "c2VhbGVk"}), "buyer_public_key")
    named(await seller.post("orders/none/delivery", **good), "id")
    assert await market.snapshot() == before


async def test_what_is_malformed_in_a_profile_is_refused_by_field(market: Market, seller: Caller) -> None:
    before = await market.snapshot()
    named(await seller.patch("profile", display_name="x" * 51), "display_name")
    named(await seller.patch("profile", display_name=""), "display_name")
    named(await seller.patch("profile", public_key=None), "public_key")
    named(await seller.patch("profile", public_key=base64.b64encode(bytes(31)).decode()), "public_key")
    named(await seller.patch("profile", rating="5.00"), "rating")
    assert await market.snapshot() == before


async def test_who_has_not_signed_in_is_told_so_and_nothing_is_written(market: Market, seller: Caller) -> None:
    product = await seller.lists()
    stranger, before = market.stranger(), await market.snapshot()
    calls = [
        ("POST", "products", LISTING),
        ("PATCH", f"products/{product['id']}", {"stock": 1}),
        ("DELETE", f"products/{product['id']}", None),
        ("PATCH", "profile", {"display_name": "x"}),
        ("GET", "orders", None),
        ("POST", "orders", {}),
        *(("POST", f"orders/{UUID(int=1)}/{act}", {}) for act in ("delivery", "confirm", "cancel", "messages")),
    ]
    for token in ("", "no-such-token"):
        stranger.token = token
        for method, path, body in calls:
            answer = await stranger.call(method, path, json=body)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert await market.snapshot() == before


async def test_too_many_commands_are_refused_for_a_while_and_not_carried_out(database: TestDatabase) -> None:
    async with opened_market(database, writes_per_minute=3) as market:
        seller = await market.member()
        answers = [await seller.post("products", **LISTING) for _ in range(5)]
        assert [answer.status for answer in answers] == [201, 201, 201, 429, 429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 20
        assert await market.owner.fetchval("SELECT count(*) FROM escrow.products") == 3
        assert (await seller.get("products")).status == 200


@pytest.mark.parametrize(
    "words", ["'; DROP TABLE escrow.products; --", "$1", ":id", "%_\\", "😀 ZWJ 👩‍🚀", "שלום", "a\tb"]
)
async def test_words_are_words_whatever_they_look_like(seller: Caller, words: str) -> None:
    listed = await seller.lists(description_preview=words)
    assert listed["description_preview"] == words
    found = (await seller.get("products", q=words.replace("\t", " "))).body["items"]
    assert [item["id"] for item in found] == ([] if "\t" in words else [listed["id"]])
