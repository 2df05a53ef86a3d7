"""Orders, as their parties see them and act on them."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from tests.apps.escrow.conftest import Caller, Market, SharedChain
from tests.callers import public_key, refused

SEALED = base64.b64encode(b"sealed to the buyer, and to nobody else").decode()
DIGEST = hashlib.sha256(base64.b64decode(SEALED)).hexdigest()
STATES = (
    "created",
    "seller_confirmed",
    "completed",
    "disputed",
    "resolved_buyer",
    "resolved_seller",
    "cancelled",
    "expired",
)


@dataclass
class Trade:
    """One order, its parties, and everyone else."""

    market: Market
    seller: Caller
    buyer: Caller
    other: Caller
    product: dict[str, Any]
    id: UUID

    async def becomes(self, status: str) -> None:
        await self.market.owner.execute("UPDATE escrow.orders SET status = $2 WHERE id = $1", self.id, status)

    async def deliver(self, by: Caller, **changes: Any) -> Any:
        given = {"product_key_encrypted": SEALED, "buyer_public_key": self.buyer.key, **changes}
        return await by.post(f"orders/{self.id}/delivery", **given)


@pytest.fixture
async def trade(bourse: Market) -> Trade:
    """An order that was just made, number 1 of its contract."""
    seller, buyer, other = [await bourse.member() for _ in range(3)]
    product = await seller.lists()
    return Trade(bourse, seller, buyer, other, product, await bourse.order(product, buyer))


async def test_both_parties_see_their_order_and_nobody_else_does(trade: Trade) -> None:
    path = f"orders/{trade.id}"
    seen = [(await caller.get(path)).body for caller in (trade.buyer, trade.seller)]
    assert seen[0] == seen[1]
    assert (
        seen[0].items()
        >= {
            "id": str(trade.id),
            "onchain_order_id": 1,
            "status": "created",
            "amount": "25.000000",
            "platform_fee": "0.500000",
            "product_title": trade.product["title_preview"],
            "buyer_public_key": trade.buyer.key,
            "product_key_encrypted": None,
        }.items()
    )
    refused(await trade.other.get(path), 404, "no-such-order")
    refused(await trade.other.get(f"orders/{UUID(int=1)}"), 404, "no-such-order")
    assert (await trade.market.stranger().get(path)).status == 401


@pytest.mark.parametrize("status", STATES)
async def test_an_arbitrator_sees_the_order_once_it_is_disputed(trade: Trade, status: str) -> None:
    sql = "UPDATE escrow.orders SET arbitrator_wallet = $1, status = $2"
    await trade.market.owner.execute(sql, trade.other.wallet, status)
    sees = status in {"disputed", "resolved_buyer", "resolved_seller"}
    for path in (f"orders/{trade.id}", f"orders/{trade.id}/messages"):
        assert (await trade.other.get(path)).status == (200 if sees else 404)
    for act in ("confirm", "cancel"):
        refused(await trade.other.post(f"orders/{trade.id}/{act}"), 404, "no-such-order")


async def test_an_order_that_the_chain_took_back_is_gone(trade: Trade) -> None:
    await trade.market.owner.execute("UPDATE escrow.orders SET orphaned_at = now(), onchain_order_id = -1")
    refused(await trade.buyer.get(f"orders/{trade.id}"), 404, "no-such-order")
    assert (await trade.buyer.get("orders")).body["items"] == []
    refused(await trade.deliver(trade.seller), 404, "no-such-order")
    refused(await trade.seller.get(f"orders/{trade.id}/messages"), 404, "no-such-order")


async def test_confirmations_count_the_blocks_from_the_last_event_on(trade: Trade) -> None:
    async def confirmations() -> int:
        counts = [(await trade.buyer.get(f"orders/{trade.id}")).body["confirmations"]]
        counts += [(await trade.buyer.get("orders")).body["items"][0]["confirmations"]]
        assert counts[0] == counts[1]
        return int(counts[0])

    assert await confirmations() == 0
    cursor = """INSERT INTO escrow.event_sync_cursor (chain, contract, last_block, last_hash, last_block_at)
        VALUES ($1, '0x00', $2, '0x00', now())"""
    await trade.market.owner.execute(cursor, "bsc", 500)
    assert await confirmations() == 0
    await trade.market.owner.execute(cursor, "ethereum", 10)
    assert await confirmations() == 1
    await trade.market.owner.execute("UPDATE escrow.event_sync_cursor SET last_block = 21")
    assert await confirmations() == 12


async def test_a_delivery_is_kept_and_answered_with_the_transaction_that_confirms_it(
    trade: Trade, chain: SharedChain
) -> None:
    answer = await trade.deliver(trade.seller)
    assert (answer.status, answer.body["delivery_hash"]) == (200, "0x" + DIGEST)
    transaction = answer.body["transaction"]
    escrow = next(each.address for each in chain.contracts if each.name == "P2PEscrow")
    assert (transaction["to"], transaction["chain_id"], transaction["value"]) == (escrow, 31_337, "0x0")
    data = bytes.fromhex(transaction["data"][2:])
    assert data[:4] == keccak(text="sellerConfirmDelivery(uint256,bytes32)")[:4]
    assert decode(["uint256", "bytes32"], data[4:]) == (1, bytes.fromhex(DIGEST))
    assert await trade.market.owner.fetchval("SELECT status FROM escrow.orders") == "created"


async def test_what_the_contract_would_not_take_any_more_is_neither_kept_nor_told(trade: Trade) -> None:
    await trade.market.owner.execute("UPDATE escrow.orders SET seller_deadline = now() - interval '1 second'")
    before = await trade.market.snapshot()
    refused(await trade.deliver(trade.seller), 409, "too-late")
    assert await trade.market.snapshot() == before


async def test_a_delivery_may_be_replaced_until_it_is_confirmed(trade: Trade) -> None:
    better = base64.b64encode(b"better").decode()
    await trade.deliver(trade.seller)
    assert (await trade.deliver(trade.seller, product_key_encrypted=better)).status == 200
    assert (await trade.seller.get(f"orders/{trade.id}")).body["product_key_encrypted"] == better
    await trade.becomes("seller_confirmed")
    refused(await trade.deliver(trade.seller), 409, "wrong-state", state="seller_confirmed", expected="created")
    assert (await trade.buyer.get(f"orders/{trade.id}")).body["product_key_encrypted"] == better


@pytest.mark.parametrize("status", STATES)
async def test_the_buyer_gets_the_key_only_once_he_can_no_longer_cancel(trade: Trade, status: str) -> None:
    await trade.deliver(trade.seller)
    await trade.becomes(status)
    key = (await trade.buyer.get(f"orders/{trade.id}")).body["product_key_encrypted"]
    assert key == (None if status in {"created", "cancelled", "expired"} else SEALED)
    assert "product_key_encrypted" not in (await trade.buyer.get("orders")).body["items"][0]


async def test_only_the_seller_delivers_and_only_to_the_buyer_s_present_key(trade: Trade) -> None:
    before = await trade.market.snapshot()
    for caller in (trade.buyer, trade.other):
        refused(await trade.deliver(caller), 404, "no-such-order")
    refused(await trade.deliver(trade.seller, buyer_public_key=trade.seller.key), 409, "key-rotated")
    assert await trade.market.snapshot() == before
    new = public_key()
    await trade.buyer.patch("profile", public_key=new)
    refused(await trade.deliver(trade.seller), 409, "key-rotated", public_key=new)
    assert (await trade.deliver(trade.seller, buyer_public_key=new)).status == 200


async def test_there_is_nothing_to_seal_to_for_a_buyer_who_was_never_here(trade: Trade) -> None:
    await trade.market.owner.execute(
        "UPDATE escrow.user_profiles SET public_key = '' WHERE wallet = $1", trade.buyer.wallet
    )
    refused(await trade.deliver(trade.seller), 409, "buyer-has-no-key")


async def test_a_blacklisted_seller_delivers_nothing(trade: Trade) -> None:
    await trade.market.ban(trade.seller.wallet)
    refused(await trade.deliver(trade.seller), 403, "wallet-blacklisted")
    assert await trade.market.owner.fetchval("SELECT product_key_encrypted FROM escrow.orders") is None


@pytest.mark.parametrize("status", STATES)
async def test_confirming_and_cancelling_follow_the_state_machine_and_write_nothing(trade: Trade, status: str) -> None:
    await trade.becomes(status)
    before = await trade.market.snapshot()
    legal = {"confirm": "seller_confirmed", "cancel": "created"}
    calls = {"confirm": "buyerConfirmReceived(uint256)", "cancel": "cancelOrder(uint256)"}
    for act, expected in legal.items():
        answer = await trade.buyer.post(f"orders/{trade.id}/{act}")
        if status == expected:
            assert answer.status == 200
            data = bytes.fromhex(answer.body["transaction"]["data"][2:])
            assert data == keccak(text=calls[act])[:4] + (1).to_bytes(32, "big")
        else:
            refused(answer, 409, "wrong-state", state=status, expected=expected)
    assert await trade.market.snapshot() == before


async def test_the_buyer_alone_confirms_receipt_and_either_party_cancels(trade: Trade) -> None:
    assert (await trade.seller.post(f"orders/{trade.id}/cancel")).status == 200
    refused(await trade.other.post(f"orders/{trade.id}/cancel"), 404, "no-such-order")
    await trade.becomes("seller_confirmed")
    for caller in (trade.seller, trade.other):
        refused(await caller.post(f"orders/{trade.id}/confirm"), 404, "no-such-order")


async def test_an_order_on_a_chain_that_is_not_configured_has_to_wait(trade: Trade) -> None:
    await trade.market.owner.execute("UPDATE escrow.orders SET chain = 'base'")
    refused(await trade.deliver(trade.seller), 503, "unavailable", part="chain base")
    assert (await trade.seller.get(f"orders/{trade.id}")).body["product_key_encrypted"] is None


async def test_one_s_orders_are_listed_newest_first_by_role_and_status(trade: Trade) -> None:
    market, start = trade.market, datetime(2026, 1, 1, tzinfo=UTC)
    own = await trade.buyer.lists()
    made = [trade.id]
    for n in range(12):
        product, buyer = (trade.product, trade.buyer) if n % 3 else (own, trade.seller)
        when = start - timedelta(hours=n // 2)
        made.append(await market.order(product, buyer, created_at=when, status=STATES[n % 4]))
    rows = await market.owner.fetch("SELECT * FROM escrow.orders ORDER BY created_at DESC, id DESC")
    for query in ({}, {"role": "buyer"}, {"role": "seller", "status": "completed"}, {"status": "created"}):
        role, status = query.get("role", "any"), query.get("status")
        wanted = [
            str(row["id"])
            for row in rows
            if (role == "any" or row[f"{role}_wallet"] == trade.buyer.wallet) and status in {None, row["status"]}
        ]
        assert await every_order(trade.buyer, **query) == wanted, query
    assert (await trade.other.get("orders")).body == {"items": [], "next_cursor": None}


async def every_order(caller: Caller, **query: str) -> list[str]:
    """The ids, three a page."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while len(found) < 100:
        page = (await caller.get("orders", limit=3, **query, **cursor)).body
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the pages go round in a circle")
