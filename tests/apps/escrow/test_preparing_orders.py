"""What a buyer gets before an order: a unit kept for fifteen minutes, and two transactions."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from entrepot.apps.escrow import events
from entrepot.apps.escrow.payouts import share
from entrepot.kernel.chain.rpc import Receipt, Rpc
from entrepot.kernel.money import Amount
from tests.apps.escrow.conftest import HASH, Caller, Market, SharedChain, opened_market
from tests.bazaar import TOKEN
from tests.callers import Answer, refused
from tests.conftest import TestDatabase

CREATE = ["address", "address", "uint256", "bytes32", "bytes32"]


@pytest.fixture
async def pair(bourse: Market) -> tuple[Caller, Caller]:
    """A seller of long standing, and a buyer."""
    return await bourse.member(), await bourse.member()


async def lapse(market: Market) -> None:
    """Fifteen minutes pass."""
    await market.owner.execute("UPDATE escrow.reservations SET expires_at = now() - interval '1 second'")


async def live(market: Market) -> int:
    """How many units are kept for somebody."""
    count: int = await market.owner.fetchval(
        "SELECT count(*) FROM escrow.reservations WHERE used_at IS NULL AND expires_at > now()"
    )
    return count


async def test_a_preparation_keeps_one_unit_for_fifteen_minutes(bourse: Market, pair: tuple[Caller, Caller]) -> None:
    seller, buyer = pair
    listed = await seller.lists(price_usdt="25.000001")
    prepared = await buyer.prepares(listed["id"])
    assert prepared.status == 201
    body = prepared.body
    assert (body["amount"], body["platform_fee"], body["total"]) == ("25.000001", "0.500000", "25.500001")
    ends = datetime.fromisoformat(body["expires_at"])
    assert timedelta(minutes=14) < ends - datetime.now(UTC) <= timedelta(minutes=15)
    row = await bourse.owner.fetchrow("SELECT * FROM escrow.reservations")
    assert (str(row["id"]), row["buyer_wallet"], row["chain"], row["token"]) == (
        body["id"],
        buyer.wallet,
        "ethereum",
        "USDT",
    )
    assert UUID(body["id"]).version == 7
    assert await bourse.owner.fetchval("SELECT count(*) FROM escrow.orders") == 0


async def test_a_node_that_does_not_have_the_contract_yet_is_unavailable_and_no_fault_of_ours(
    bourse: Market, pair: tuple[Caller, Caller]
) -> None:
    seller, buyer = pair
    listed = await seller.lists()
    await bourse.owner.execute("UPDATE core.contracts SET address = $1 WHERE name = 'P2PEscrow'", buyer.wallet)
    refused(await buyer.prepares(listed["id"]), 503, "unavailable", part="chain")
    assert await live(bourse) == 0


async def test_the_transactions_say_what_was_agreed(bourse: Market, chain: SharedChain, pair: Any) -> None:
    seller, buyer = pair
    at = {contract.name: contract.address for contract in chain.contracts}
    body = (await buyer.prepares((await seller.lists())["id"], token="USDC")).body
    approval, creation = body["approval"], body["transaction"]
    assert {(each["chain_id"], each["value"]) for each in (approval, creation)} == {(31_337, "0x0")}
    assert (approval["to"], creation["to"]) == (at["USDC"], at["P2PEscrow"])
    given = bytes.fromhex(approval["data"][2:])
    assert given[:4] == keccak(text="approve(address,uint256)")[:4]
    assert decode(["address", "uint256"], given[4:]) == (at["P2PEscrow"].lower(), 25_500_000)
    given = bytes.fromhex(creation["data"][2:])
    assert given[:4] == keccak(text="createOrder(address,address,uint256,bytes32,bytes32)")[:4]
    assert decode(CREATE, given[4:]) == (
        seller.wallet.lower(),
        at["USDC"].lower(),
        25_000_000,
        bytes.fromhex(HASH[2:]),
        UUID(body["id"]).bytes + bytes(16),
    )


async def send(rpc: Rpc, sender: str, transaction: dict[str, Any]) -> Receipt:
    """A transaction as a wallet sends it, once it is in a block."""
    call = {"from": sender, "to": transaction["to"], "data": transaction["data"], "value": transaction["value"]}
    sent = await rpc.call("eth_sendTransaction", [call], type=str)
    for _ in range(1_000):
        if (receipt := await rpc.receipt(sent)) is not None:
            assert receipt.succeeded
            return receipt
        await asyncio.sleep(0.01)
    raise AssertionError("it is in no block")


async def test_the_contract_takes_the_transactions_as_they_are(bourse: Market, chain: SharedChain, pair: Any) -> None:
    seller, buyer = pair
    body = (await buyer.prepares((await seller.lists())["id"])).body
    async with Rpc(chain.settings.endpoints) as rpc:
        await rpc.call("anvil_impersonateAccount", [buyer.wallet])
        await rpc.call("anvil_setBalance", [buyer.wallet, hex(10**18)])
        mint = TOKEN.encode_call("mint", buyer.wallet, 25_500_000)
        await send(rpc, buyer.wallet, {"to": body["approval"]["to"], "data": "0x" + mint.hex(), "value": "0x0"})
        await send(rpc, buyer.wallet, body["approval"])
        receipt = await send(rpc, buyer.wallet, body["transaction"])
    created = next(event for log in receipt.logs if (event := events.contract().decode(log)) is not None)
    assert isinstance(created, events.OrderCreated)
    assert (created.buyer, created.seller, created.amount, created.fee) == (
        buyer.wallet,
        seller.wallet,
        25_000_000,
        500_000,
    )
    assert created.order_ref[:16] == UUID(body["id"]).bytes


async def test_a_token_of_eighteen_decimals_is_asked_for_in_its_own_units(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    await bourse.owner.execute("UPDATE core.contracts SET decimals = 18 WHERE name = 'USDT'")
    body = (await buyer.prepares((await seller.lists(price_usdt="1.000001"))["id"])).body
    assert body["platform_fee"] == "0.020000"
    assert decode(["address", "uint256"], bytes.fromhex(body["approval"]["data"][10:]))[1] == 1_020_001 * 10**12
    assert decode(CREATE, bytes.fromhex(body["transaction"]["data"][10:]))[2] == 1_000_001 * 10**12


def test_the_fee_is_rounded_down_to_a_millionth_as_the_contract_does() -> None:
    for amount, bps, fee in (("1.000049", 200, "0.020000"), ("1.000050", 200, "0.020001"), ("7", 0, "0.000000")):
        assert str(share(Amount(amount), bps)) == fee


async def test_of_fifty_buyers_of_the_last_one_exactly_one_gets_it(bourse: Market) -> None:
    seller = await bourse.member()
    product = (await seller.lists(stock=1))["id"]
    buyers = [await bourse.member() for _ in range(50)]
    answers = await asyncio.gather(*(buyer.prepares(product) for buyer in buyers))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 49
    assert {answer.body["type"] for answer in answers if answer.status == 409} == {"/problems/out-of-stock"}
    assert await live(bourse) == 1


async def test_a_unit_that_nobody_bought_in_time_is_free_again(bourse: Market, pair: Any) -> None:
    seller, first = pair
    second = await bourse.member()
    product = (await seller.lists(stock=1))["id"]
    assert (await first.prepares(product)).status == 201
    refused(await second.prepares(product), 409, "out-of-stock")
    await lapse(bourse)
    assert (await second.prepares(product)).status == 201


async def test_who_prepares_again_takes_another_unit_where_there_is_one(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    product = (await seller.lists(stock=2))["id"]
    assert len({(await buyer.prepares(product)).body["id"] for _ in range(2)}) == 2
    assert await live(bourse) == 2


async def test_who_prepares_again_when_none_is_free_gets_his_own_anew(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    product = (await seller.lists(stock=1))["id"]
    first = await buyer.prepares(product)
    second = await buyer.prepares(product, token="USDC")
    assert (second.status, second.body["id"] != first.body["id"], await live(bourse)) == (201, True, 1)
    refused(await (await bourse.member()).prepares(product), 409, "out-of-stock")


async def test_one_buyer_at_once_never_holds_more_than_there_is(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    product = (await seller.lists(stock=2))["id"]
    answers = await asyncio.gather(*(buyer.prepares(product) for _ in range(8)))
    assert {answer.status for answer in answers} == {201}
    assert await live(bourse) == 2


async def test_the_same_key_gives_the_same_preparation(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    product = (await seller.lists())["id"]
    answers = [await buyer.prepares(product, key="a") for _ in range(3)]
    assert len({str(answer.body) for answer in answers}) == 1
    assert await live(bourse) == 1
    refused(await buyer.prepares(product, token="USDC", key="a"), 409, "key-reused")


async def test_who_may_not_buy_is_told_why_and_nothing_is_written(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    listed, banned, hidden = await seller.lists(), await bourse.member(), await bourse.member()
    secret = await hidden.lists()
    await bourse.ban(banned.wallet)
    await bourse.ban(hidden.wallet)
    before = await bourse.snapshot()
    refused(await banned.prepares(listed["id"]), 403, "wallet-blacklisted")
    refused(await buyer.prepares(secret["id"]), 404, "no-such-product")
    refused(await buyer.prepares(str(UUID(int=7))), 404, "no-such-product")
    refused(await seller.prepares(listed["id"]), 409, "own-product")
    assert (await bourse.stranger().prepares(listed["id"])).status == 401
    assert await bourse.snapshot() == before


async def test_a_seller_banned_by_list_only_sells_nothing_either(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    listed = await seller.lists()
    await bourse.owner.execute("INSERT INTO escrow.blacklist (wallet, reason) VALUES ($1, 'x')", seller.wallet)
    refused(await buyer.prepares(listed["id"]), 404, "no-such-product")


async def test_only_what_is_active_can_be_ordered(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    path = (await seller.lists())["id"]
    await seller.patch(f"products/{path}", status="paused")
    refused(await buyer.prepares(path), 409, "wrong-state", state="paused", expected="active")
    await seller.patch(f"products/{path}", status="active")
    await seller.patch(f"products/{path}", stock=0)
    refused(await buyer.prepares(path), 409, "wrong-state", state="sold_out", expected="active")
    await seller.call("DELETE", f"products/{path}")
    refused(await buyer.prepares(path), 404, "no-such-product")


async def test_a_new_seller_takes_fifty_usdt_an_order_at_most(bourse: Market) -> None:
    young, grown, buyer = await bourse.member(for_days=6), await bourse.member(for_days=7), await bourse.member()
    assert (await buyer.prepares((await young.lists(price_usdt="50"))["id"])).status == 201
    refused(await buyer.prepares((await young.lists(price_usdt="50.000001"))["id"]), 409, "new-seller-amount")
    assert (await buyer.prepares((await grown.lists(price_usdt="50.000001"))["id"])).status == 201


async def test_a_new_seller_takes_three_orders_a_day_reserved_or_made(bourse: Market) -> None:
    young, buyer = await bourse.member(for_days=1), await bourse.member()
    listed = [await young.lists(stock=5) for _ in range(4)]
    hours_ago = datetime.now(UTC) - timedelta(hours=23)
    await bourse.order(listed[0], buyer, status="cancelled", created_at=hours_ago, chain="bsc")
    await bourse.order(listed[0], buyer, created_at=hours_ago - timedelta(hours=2))
    await bourse.order(listed[0], buyer, orphaned_at=hours_ago)
    assert [(await buyer.prepares(each["id"])).status for each in listed[:3]] == [201, 201, 409]
    refused(await buyer.prepares(listed[3]["id"]), 409, "new-seller-orders")
    await lapse(bourse)
    assert (await buyer.prepares(listed[3]["id"])).status == 201


async def test_buyers_of_different_listings_at_once_do_not_pass_a_new_seller_s_limit(bourse: Market) -> None:
    young, buyer = await bourse.member(for_days=1), await bourse.member()
    listed = [await young.lists() for _ in range(8)]
    answers = await asyncio.gather(*(buyer.prepares(each["id"]) for each in listed))
    assert sorted(answer.status for answer in answers) == [201] * 3 + [409] * 5


async def test_renewing_one_s_own_does_not_count_twice_against_a_new_seller(bourse: Market) -> None:
    young, buyer = await bourse.member(for_days=1), await bourse.member()
    listed = [await young.lists(stock=1) for _ in range(3)]
    assert [(await buyer.prepares(each["id"])).status for each in listed + listed] == [201] * 6


@pytest.mark.parametrize(
    ("chain_name", "token", "field"),
    [
        ("polygon", "USDT", "chain"),
        ("base", "USDT", "chain"),
        ("ethereum", "DAI", "token"),
        ("Ethereum", "USDT", "chain"),
    ],
)
async def test_an_unknown_chain_or_token_is_refused_by_name(
    bourse: Market, pair: Any, chain_name: str, token: str, field: str
) -> None:
    seller, buyer = pair
    product, before = (await seller.lists())["id"], await bourse.snapshot()
    answer: Answer = await buyer.prepares(product, chain_name, token)
    assert (answer.status, answer.body["field"]) == (422, field)
    assert await bourse.snapshot() == before


async def test_a_token_that_is_not_on_the_chain_is_refused_by_name(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    await bourse.owner.execute("DELETE FROM core.contracts WHERE name = 'USDC'")
    answer = await buyer.prepares((await seller.lists())["id"], token="USDC")
    assert (answer.status, answer.body["field"]) == (422, "token")


async def test_a_key_is_required(bourse: Market, pair: Any) -> None:
    seller, buyer = pair
    wanted = {"product_id": (await seller.lists())["id"], "chain": "ethereum", "token": "USDT"}
    answer = await buyer.post("orders", **wanted)
    assert (answer.status, answer.body["field"]) == (422, "Idempotency-Key")


async def test_a_chain_that_does_not_answer_stops_a_preparation_and_keeps_nothing(
    database: TestDatabase, chain: SharedChain
) -> None:
    gone = msgspec.structs.replace(chain.settings, endpoints=("http://127.0.0.1:9",))
    async with opened_market(database, chains=(gone,)) as market:
        await chain.note(market.owner)
        seller, buyer = await market.member(), await market.member()
        refused(await buyer.prepares((await seller.lists())["id"]), 503, "unavailable", part="chain")
        assert await live(market) == 0
        assert await market.owner.fetchval("SELECT count(*) FROM core.idempotency_keys") == 0
