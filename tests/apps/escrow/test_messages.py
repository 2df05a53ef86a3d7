"""Messages of a trade: ciphertext in, ciphertext out."""

import base64
import secrets
from typing import Any
from uuid import UUID

import pytest

from tests.apps.escrow.conftest import Caller, Market
from tests.callers import refused


def box(size: int = 40, **changes: Any) -> dict[str, Any]:
    """A NaCl box, as far as a server can tell."""
    sealed, nonce = secrets.token_bytes(size), secrets.token_bytes(24)
    return {"ciphertext": base64.b64encode(sealed).decode(), "nonce": base64.b64encode(nonce).decode(), **changes}


@pytest.fixture
async def path(market: Market, seller: Caller, buyer: Caller) -> str:
    """Where the messages of the two are."""
    return f"orders/{await market.order(await seller.lists(), buyer)}/messages"


async def test_both_parties_write_and_read(path: str, seller: Caller, buyer: Caller) -> None:
    given = [box(), box()]
    sent = [await caller.post(path, **each) for caller, each in zip((buyer, seller), given, strict=True)]
    assert [answer.status for answer in sent] == [201, 201]
    assert all(answer.body.items() >= each.items() for answer, each in zip(sent, given, strict=True))
    assert {UUID(answer.body["id"]).version for answer in sent} == {7}
    for caller in (buyer, seller):
        items = (await caller.get(path)).body["items"]
        assert items == [sent[1].body, sent[0].body]
        assert [item["sender_wallet"] for item in items] == [seller.wallet, buyer.wallet]


async def test_nobody_else_writes_or_reads(market: Market, path: str) -> None:
    other, before = await market.member(), None
    before = await market.snapshot()
    refused(await other.get(path), 404, "no-such-order")
    refused(await other.post(path, **box()), 404, "no-such-order")
    refused(await other.get(f"orders/{UUID(int=1)}/messages"), 404, "no-such-order")
    for answer in (await market.stranger().get(path), await market.stranger().post(path, **box())):
        assert answer.status == 401
    assert await market.snapshot() == before


async def test_an_arbitrator_writes_once_there_is_a_dispute(market: Market, path: str) -> None:
    judge = await market.member()
    await market.owner.execute("UPDATE escrow.orders SET arbitrator_wallet = $1", judge.wallet)
    refused(await judge.post(path, **box()), 404, "no-such-order")
    await market.owner.execute("UPDATE escrow.orders SET status = 'disputed'")
    assert (await judge.post(path, **box())).status == 201


async def test_pages_hold_every_message_once_newest_first(market: Market, path: str, buyer: Caller) -> None:
    for _ in range(8):
        await buyer.post(path, **box())
    await market.owner.execute("UPDATE escrow.messages SET created_at = date_trunc('hour', now())")
    wanted = [str(row[0]) for row in await market.owner.fetch("SELECT id FROM escrow.messages ORDER BY id DESC")]
    found: list[str] = []
    page = (await buyer.get(path, limit=3)).body
    while page["items"]:
        found += [item["id"] for item in page["items"]]
        page = (
            (await buyer.get(path, limit=3, cursor=page["next_cursor"])).body if page["next_cursor"] else {"items": []}
        )
    assert found == wanted


async def test_fifty_are_a_page(market: Market, path: str, buyer: Caller) -> None:
    await market.owner.execute(
        """INSERT INTO escrow.messages (order_id, sender_wallet, ciphertext, nonce)
        SELECT id, buyer_wallet, 'AAAA', '' FROM escrow.orders, generate_series(1, 60)"""
    )
    assert len((await buyer.get(path)).body["items"]) == 50
    assert len((await buyer.get(path, limit=100)).body["items"]) == 60


async def test_a_message_of_64_kib_is_taken_and_one_byte_more_is_not(path: str, buyer: Caller) -> None:
    assert (await buyer.post(path, **box(65_536))).status == 201
    for size in (65_537, 65_540):
        answer = await buyer.post(path, **box(size))
        assert (answer.status, answer.body["field"]) == (422, "ciphertext")


async def test_what_is_sent_twice_with_one_key_is_kept_once(market: Market, path: str, buyer: Caller) -> None:
    message = box()
    answers = [await buyer.call("POST", path, key="m", json=message) for _ in range(2)]
    assert answers[0].body == answers[1].body
    assert await market.owner.fetchval("SELECT count(*) FROM escrow.messages") == 1
