"""Disputes, as the parties and the arbitrator open, see, draw and rule on them."""

from typing import Any

from eth_utils.crypto import keccak

from tests.apps.escrow.conftest import Quarrel
from tests.apps.escrow.test_trades import STATES
from tests.callers import refused

WORD = 32


def call_of(answer: Any, signature: str) -> list[int]:
    """The words of the call that was prepared, after its selector."""
    assert answer.status in {200, 201}, answer.body
    data = bytes.fromhex(answer.body["transaction"]["data"][2:])
    assert data[:4] == keccak(text=signature)[:4]
    words = data[4:]
    return [int.from_bytes(words[at : at + WORD], "big") for at in range(0, len(words), WORD)]


async def test_either_party_opens_a_dispute_after_delivery_and_nobody_else(quarrel: Quarrel) -> None:
    path = f"disputes/{quarrel.id}"
    await quarrel.becomes(arbitrator_wallet=None)
    for status in STATES:
        await quarrel.becomes(status=status)
        before = await quarrel.market.snapshot()
        for party in (quarrel.buyer, quarrel.seller):
            answer = await party.post(path)
            if status == "seller_confirmed":
                assert call_of(answer, "openDispute(uint256)") == [1]
            else:
                refused(answer, 409, "wrong-state", state=status, expected="seller_confirmed")
        refused(await quarrel.other.post(path), 404, "no-such-order")
        assert await quarrel.market.snapshot() == before
    assert (await quarrel.market.stranger().post(path)).status == 401


async def test_a_dispute_comes_too_late_when_the_money_may_be_released(quarrel: Quarrel) -> None:
    await quarrel.becomes(status="seller_confirmed", release_deadline="-0.001 hours")
    refused(await quarrel.buyer.post(f"disputes/{quarrel.id}"), 409, "too-late")


async def test_the_chain_s_own_time_decides(quarrel: Quarrel) -> None:
    await quarrel.becomes(status="seller_confirmed")
    await quarrel.market.owner.execute(
        "UPDATE escrow.event_sync_cursor SET last_block_at = now() + interval '49 hours'"
    )
    refused(await quarrel.buyer.post(f"disputes/{quarrel.id}"), 409, "too-late")


async def test_a_draw_waits_for_its_block_and_for_the_arbitrator_that_sits(quarrel: Quarrel) -> None:
    path = f"disputes/{quarrel.id}/draw"
    refused(await quarrel.buyer.post(path), 409, "arbitrator-at-work", arbitrator_wallet=quarrel.arbitrator.wallet)
    await quarrel.becomes(dispute_deadline="-1 hours")
    assert call_of(await quarrel.seller.post(path), "drawArbitrator(uint256)") == [1]
    await quarrel.becomes(arbitrator_wallet=None, draw_block=31)
    refused(await quarrel.buyer.post(path), 409, "draw-too-early", draw_block=31, block=30)
    await quarrel.at_block(31)
    assert call_of(await quarrel.buyer.post(path), "drawArbitrator(uint256)") == [1]
    refused(await quarrel.other.post(path), 404, "no-such-order")
    await quarrel.becomes(default_deadline="-1 hours")
    refused(await quarrel.buyer.post(path), 409, "too-late")
    await quarrel.becomes(status="completed")
    refused(await quarrel.buyer.post(path), 409, "wrong-state", state="completed", expected="disputed")


async def test_the_drawn_arbitrator_rules_and_nobody_else(quarrel: Quarrel) -> None:
    path = f"disputes/{quarrel.id}/ruling"
    for favor_buyer in (True, False):
        answer = await quarrel.arbitrator.post(path, favor_buyer=favor_buyer)
        assert call_of(answer, "resolveDispute(uint256,bool)") == [1, int(favor_buyer)]
        for caller in (quarrel.buyer, quarrel.seller, quarrel.other):
            refused(await caller.post(path, favor_buyer=favor_buyer), 404, "no-such-order")
    answer = await quarrel.arbitrator.post(path)
    assert (answer.status, answer.body["field"]) == (422, "favor_buyer")
    await quarrel.becomes(dispute_deadline="-1 hours")
    refused(await quarrel.arbitrator.post(path, favor_buyer=True), 409, "too-late")
    await quarrel.becomes(status="resolved_buyer")
    refused(
        await quarrel.arbitrator.post(path, favor_buyer=True),
        409,
        "wrong-state",
        state="resolved_buyer",
        expected="disputed",
    )


async def test_an_arbitrator_in_conflict_is_not_helped_to_rule(quarrel: Quarrel) -> None:
    path, product = f"disputes/{quarrel.id}/ruling", await quarrel.seller.lists()
    await quarrel.market.order(product, quarrel.arbitrator)
    before = await quarrel.market.snapshot()
    for favor_buyer in (True, False):
        answer = await quarrel.arbitrator.post(path, favor_buyer=favor_buyer)
        refused(answer, 409, "arbitrator-conflicted", reasons=["trade"])
    assert await quarrel.market.snapshot() == before
    await quarrel.market.owner.execute(
        "UPDATE escrow.orders SET created_at = now() - interval '31 days' WHERE buyer_wallet = $1",
        quarrel.arbitrator.wallet,
    )
    assert (await quarrel.arbitrator.post(path, favor_buyer=True)).status == 200
    other = await quarrel.market.order(product, quarrel.other, status="resolved_buyer")
    await quarrel.market.owner.execute(
        "UPDATE escrow.orders SET arbitrator_wallet = $2 WHERE id = $1", other, quarrel.arbitrator.wallet
    )
    refused(await quarrel.arbitrator.post(path, favor_buyer=True), 409, "arbitrator-conflicted", reasons=["ruling"])


async def test_all_three_see_the_dispute_with_the_contract_s_deadlines(quarrel: Quarrel) -> None:
    path = f"disputes/{quarrel.id}"
    seen = [(await caller.get(path)).body for caller in quarrel.everyone]
    assert seen[0] == seen[1] == seen[2]
    row = await quarrel.market.owner.fetchrow("SELECT * FROM escrow.orders")
    assert seen[0]["arbitrator_wallet"] == quarrel.arbitrator.wallet
    assert seen[0]["draw_block"] == 20
    for shown, column in (("ruling_deadline", "dispute_deadline"), ("default_deadline", "default_deadline")):
        assert seen[0][shown] == row[column].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert seen[0]["evidence"] == []
    refused(await quarrel.other.get(path), 404, "no-such-dispute")
    await quarrel.becomes(arbitrator_wallet=None)
    assert (await quarrel.buyer.get(path)).body["ruling_deadline"] is None
    refused(await quarrel.arbitrator.get(path), 404, "no-such-dispute")
    await quarrel.becomes(status="completed", dispute_opened_at=None)
    refused(await quarrel.buyer.get(path), 404, "no-such-dispute")


async def test_the_arbitrator_reads_the_order_and_writes_while_it_is_the_arbitrator(quarrel: Quarrel) -> None:
    judge, order = quarrel.arbitrator, f"orders/{quarrel.id}"
    message = {"ciphertext": "AAAA", "nonce": "A" * 32}
    assert (await judge.get(order)).body["status"] == "disputed"
    assert (await judge.post(f"{order}/messages", **message)).status == 201
    assert (await judge.get(f"{order}/messages")).body["items"][0]["sender_wallet"] == judge.wallet
    await quarrel.becomes(arbitrator_wallet=None)
    for answer in (await judge.get(order), await judge.get(f"{order}/messages"), await judge.get(f"{order}/outcomes")):
        refused(answer, 404, "no-such-order")
    refused(await judge.post(f"{order}/messages", **message), 404, "no-such-order")
