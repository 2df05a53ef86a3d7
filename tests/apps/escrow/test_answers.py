"""What PostgreSQL makes is what is declared: decoded strictly and written again, it is the same."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from entrepot.apps.escrow.calls.arbitrators import ArbitratorPage
from entrepot.apps.escrow.calls.disputes import Dispute
from entrepot.apps.escrow.calls.evidence import SealedEvidence
from entrepot.apps.escrow.calls.messages import MessagePage
from entrepot.apps.escrow.calls.orders import Order, OrderPage
from entrepot.apps.escrow.calls.products import ProductDetail, ProductPage
from entrepot.apps.escrow.calls.profiles import Profile
from entrepot.apps.escrow.calls.reviews import ReviewPage
from entrepot.kernel.http.server import HotLane, build
from entrepot.kernel.settings import Settings
from entrepot.kernel.values import ENCODER, read_value
from entrepot.main import House
from tests.apps.escrow.conftest import Caller, Market

NOON = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
COVERED = {ProductPage, ProductDetail, Profile, OrderPage, Order, MessagePage, ReviewPage, ArbitratorPage, Dispute}
AS_HANDED_IN = {SealedEvidence}
"""Not PostgreSQL's: the content store gives back what it was given (test_evidence.py)."""
SEATED = """
    WITH member AS (INSERT INTO escrow.pool_members VALUES ('bsc', $1, 600.5, 600.5, $1, 52, 1, 3, true, $2, $2))
    INSERT INTO escrow.arbitrators VALUES ($1, 600.5, $1, 52, 3, 12.345678, true, $2, $2)
"""
ON_RECORD = """
    WITH handed_in AS (INSERT INTO escrow.evidence_uploads VALUES ($1, $2, 'bafyone', 'screenshot', $3, 10, $4))
    INSERT INTO escrow.dispute_evidence (order_id, submitter_wallet, ipfs_hash, block_number, created_at)
    VALUES ($1, $2, 'bafyone', 10, $4), ($1, $2, 'told to the contract only', 11, $4)
"""


def test_every_answer_that_postgresql_makes_is_looked_at_here() -> None:
    house = House(Settings(database_url="postgresql://nobody@nowhere.invalid/nothing", apps=("escrow",)))
    made = {each.signature.answer for each in house.endpoints() if each.signature.passes_json}
    assert made == COVERED | AS_HANDED_IN


def test_what_is_read_most_is_answered_in_the_hot_lane() -> None:
    house = House(Settings(database_url="postgresql://nobody@nowhere.invalid/nothing", apps=("escrow",)))
    lane = build(house.endpoints(), house.settings)
    assert isinstance(lane, HotLane)
    hot = {each.route.path for each in (*lane.exact.values(), *lane.below.values())}
    assert hot == {"/products", "/products/{id}", "/profile/{wallet}", "/arbitrators"}


async def check(caller: Caller, path: str, kind: Any) -> None:
    """The bytes of the answer, against what they are declared to be."""
    headers = {"Authorization": f"Bearer {caller.token}"}
    async with caller.http.get(f"/api/v1/escrow/{path}", headers=headers) as answer:
        body = await answer.read()
    read = msgspec.json.decode(body, type=kind, strict=True, dec_hook=read_value)
    assert msgspec.json.decode(ENCODER.encode(read)) == msgspec.json.decode(body)
    assert not isinstance(read, ProductPage | OrderPage | MessagePage | ReviewPage | ArbitratorPage) or read.items


@pytest.mark.parametrize("full", [True, False], ids=["everything given", "nothing that may be null"])
async def test_an_answer_is_what_its_struct_says(market: Market, seller: Caller, buyer: Caller, full: bool) -> None:  # noqa: FBT001
    product = await seller.lists()
    box = {"ciphertext": base64.b64encode(b"sealed").decode(), "nonce": base64.b64encode(bytes(24)).decode()}
    columns: dict[str, Any] = {"created_at": NOON, "updated_at": NOON}
    if full:
        moments = ("seller_confirmed_at", "dispute_opened_at", "dispute_deadline", "completed_at", "release_deadline")
        columns |= dict.fromkeys(moments, NOON)
        columns |= dict.fromkeys(("tx_hash_complete", "delivery_hash"), "0x" + "1" * 64)
        columns |= {"arbitrator_wallet": buyer.wallet, "cancelled_by": buyer.wallet, "status": "completed"}
        columns |= {"product_key_encrypted": "c2VhbGVk"}
        await market.owner.execute(
            "UPDATE escrow.user_profiles SET display_name = 'Ada', rating = 4.5, created_at = $1", NOON
        )
    else:
        await market.owner.execute("UPDATE escrow.user_profiles SET public_key = '' WHERE wallet = $1", buyer.wallet)
    order = await market.order(product, buyer, **columns)
    assert (await buyer.post(f"orders/{order}/messages", **box)).status == 201
    await market.owner.execute("UPDATE escrow.orders SET status = 'completed'")
    assert (await seller.post(f"orders/{order}/reviews", rating=4)).status == 201
    for path, kind in {
        "products": ProductPage,
        f"products/{product['id']}": ProductDetail,
        f"profile/{seller.wallet}": Profile,
        f"profile/{buyer.wallet}": Profile,
        "orders": OrderPage,
        f"orders/{order}": Order,
        f"orders/{order}/messages": MessagePage,
        f"profile/{buyer.wallet}/reviews": ReviewPage,
    }.items():
        await check(buyer, path, kind)


@pytest.mark.parametrize("drawn", [True, False])
async def test_a_dispute_and_its_arbitrator_are_what_their_structs_say(
    market: Market, seller: Caller, buyer: Caller, *, drawn: bool
) -> None:
    arbitrator = await market.member()
    await market.owner.execute(SEATED, arbitrator.wallet, NOON)
    columns: dict[str, Any] = {"status": "disputed", "draw_block": 7, "created_at": NOON}
    columns |= dict.fromkeys(("dispute_opened_at", "dispute_deadline", "default_deadline"), NOON)
    columns |= {"arbitrator_wallet": arbitrator.wallet} if drawn else {}
    order = await market.order(await seller.lists(), buyer, **columns)
    await market.owner.execute(ON_RECORD, order, buyer.wallet, arbitrator.wallet, NOON)
    await check(buyer, f"disputes/{order}", Dispute)
    await check(buyer, "arbitrators", ArbitratorPage)


async def test_moments_and_amounts_have_the_same_form_whoever_wrote_them(market: Market, seller: Caller) -> None:
    made = await seller.lists()
    shown = (await market.stranger().get(f"products/{made['id']}")).body
    assert {name: shown[name] for name in made} == made
