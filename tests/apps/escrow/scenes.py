"""For every route, the thing that it names in a state that takes the call, and what a call of it must hold."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from eth_account import Account
from eth_account.messages import encode_defunct

from entrepot.apps.escrow.model import OrderStatus
from tests.apps.escrow.conftest import Caller, Market
from tests.matrix import Given

CONFIRMED = frozenset(OrderStatus) - {OrderStatus.CREATED, OrderStatus.CANCELLED, OrderStatus.EXPIRED}
DISPUTED = frozenset({OrderStatus.DISPUTED, OrderStatus.RESOLVED_BUYER, OrderStatus.RESOLVED_SELLER})
SEALED = {"encrypted_data": "c2VhbGVk", "iv": "aWnpNr1izVX8tz+CczfZZ7YoqPUSmi7G"}
ON_RECORD = """
    INSERT INTO escrow.dispute_evidence (order_id, submitter_wallet, ipfs_hash, block_number) VALUES ($1, $2, $3, 10)
"""


def moments(status: OrderStatus, arbitrator: str | None) -> dict[str, Any]:
    """What the contract sets on the way to a status, as the mirror writes it."""
    now, columns = datetime.now(UTC), dict[str, Any]()
    if status in CONFIRMED:
        columns |= {"seller_confirmed_at": now, "release_deadline": now + timedelta(days=3)}
    if status in DISPUTED:
        columns |= {"dispute_opened_at": now, "draw_block": 0, "default_deadline": now + timedelta(days=14)}
        if arbitrator is not None:
            columns |= {"arbitrator_wallet": arbitrator, "dispute_deadline": now + timedelta(days=7)}
    return columns


def keys(*readers: Caller) -> dict[str, str]:
    """The key of a piece of evidence, as sealed to each reader as a server can tell."""
    return {reader.wallet: "c2VhbGVk" for reader in readers}


@dataclass
class Stage:
    """A market and its people. Each scene is made anew for each call, as the calls that succeed use it up."""

    market: Market
    buyer: Caller
    seller: Caller
    arbitrator: Caller
    another_seller: Caller

    async def order(self, status: OrderStatus, *, drawn: bool = True) -> UUID:
        """An order of the buyer's and the seller's, with the arbitrator once there is a dispute."""
        columns = moments(status, self.arbitrator.wallet if drawn else None)
        return await self.market.order(await self.seller.lists(), self.buyer, status=status, **columns)

    async def evidence(self) -> tuple[UUID, str]:
        """An order in dispute, and the address of what its buyer has handed in and put on record."""
        order, parties = await self.order(OrderStatus.DISPUTED), (self.buyer, self.seller, self.arbitrator)
        handed_in = await self.buyer.post(f"disputes/{order}/evidence", **SEALED, keys=keys(*parties))
        assert handed_in.status == 201, handed_in.body
        cid = handed_in.body["cid"]
        await self.market.owner.execute(ON_RECORD, order, self.buyer.wallet, cid)
        return order, cid

    async def banned(self) -> str:
        """A wallet that was never here and may not come."""
        wallet = str(Account.create().address)
        await self.market.owner.execute("INSERT INTO escrow.blacklist (wallet, reason) VALUES ($1, 'fraud')", wallet)
        return wallet


Scene = Callable[[Stage, Caller], Awaitable[Given]]


async def bare(_stage: Stage, _caller: Caller) -> Given:
    return Given()


async def listing(stage: Stage, _caller: Caller) -> Given:
    return Given({"id": (await stage.seller.lists())["id"]})


async def edited_listing(stage: Stage, _caller: Caller) -> Given:
    return Given({"id": (await stage.seller.lists())["id"]}, {"stock": 5, "status": "paused"})


async def own_profile(_stage: Stage, caller: Caller) -> Given:
    return Given(body={"public_key": caller.key})


async def listing_of_another(stage: Stage, _caller: Caller) -> Given:
    product = await stage.another_seller.lists()
    return Given(body={"product_id": product["id"], "chain": "ethereum", "token": "USDT"})


async def profile(stage: Stage, _caller: Caller) -> Given:
    return Given({"wallet": stage.seller.wallet})


def order(status: OrderStatus, name: str = "id", *, drawn: bool = True, **body: Any) -> Scene:
    async def scene(stage: Stage, _caller: Caller) -> Given:
        return Given({name: str(await stage.order(status, drawn=drawn))}, body)

    return scene


async def delivery(stage: Stage, _caller: Caller) -> Given:
    found = await stage.order(OrderStatus.CREATED)
    return Given({"id": str(found)}, {"buyer_public_key": stage.buyer.key})


async def evidence_to_hand_in(stage: Stage, _caller: Caller) -> Given:
    readers = keys(stage.buyer, stage.seller, stage.arbitrator)
    return Given({"order_id": str(await stage.order(OrderStatus.DISPUTED))}, {"keys": readers})


async def evidence_on_record(stage: Stage, _caller: Caller) -> Given:
    order_id, cid = await stage.evidence()
    return Given({"order_id": str(order_id), "cid": cid})


async def wallet_to_ban(_stage: Stage, _caller: Caller) -> Given:
    return Given(body={"wallet": str(Account.create().address)})


async def banned_wallet(stage: Stage, _caller: Caller) -> Given:
    return Given({"wallet": await stage.banned()})


async def signed_message(_stage: Stage, caller: Caller) -> Given:
    message = (await caller.post("auth/nonce", wallet=caller.wallet)).body["message"]
    signature = caller.account.sign_message(encode_defunct(text=message)).signature.to_0x_hex()
    return Given(body={"message": message, "signature": signature, "public_key": caller.key})


MARKET = "/api/v1/escrow"
SCENES: dict[str, Scene] = {
    "POST /api/v1/auth/nonce": bare,
    "POST /api/v1/auth/verify": signed_message,
    "POST /api/v1/auth/logout": bare,
    "GET /api/v1/auth/me": bare,
    "POST /api/v1/monitoring/retention/run": bare,
    "GET /api/v1/monitoring/alerts": bare,
    "GET /api/v1/monitoring/database/pool": bare,
    "GET /api/v1/monitoring/database/queries": bare,
    "GET /api/v1/monitoring/database/indexes": bare,
    "GET /api/v1/monitoring/database/tables": bare,
    "GET /api/v1/monitoring/database/replication": bare,
    f"GET {MARKET}/products": bare,
    f"POST {MARKET}/products": bare,
    f"GET {MARKET}/products/{{id}}": listing,
    f"PATCH {MARKET}/products/{{id}}": edited_listing,
    f"DELETE {MARKET}/products/{{id}}": listing,
    f"GET {MARKET}/profile/{{wallet}}": profile,
    f"GET {MARKET}/profile/{{wallet}}/reviews": profile,
    f"PATCH {MARKET}/profile": own_profile,
    f"GET {MARKET}/orders": bare,
    f"POST {MARKET}/orders": listing_of_another,
    f"GET {MARKET}/orders/{{id}}": order(OrderStatus.DISPUTED),
    f"POST {MARKET}/orders/{{id}}/delivery": delivery,
    f"POST {MARKET}/orders/{{id}}/confirm": order(OrderStatus.SELLER_CONFIRMED),
    f"POST {MARKET}/orders/{{id}}/cancel": order(OrderStatus.CREATED),
    f"POST {MARKET}/orders/{{id}}/reviews": order(OrderStatus.COMPLETED),
    f"GET {MARKET}/orders/{{id}}/messages": order(OrderStatus.DISPUTED),
    f"POST {MARKET}/orders/{{id}}/messages": order(OrderStatus.DISPUTED),
    f"GET {MARKET}/orders/{{id}}/outcomes": order(OrderStatus.DISPUTED),
    f"GET {MARKET}/orders/{{id}}/live": order(OrderStatus.DISPUTED),
    f"GET {MARKET}/live": bare,
    f"GET {MARKET}/arbitrators": bare,
    f"GET {MARKET}/disputes/{{order_id}}": order(OrderStatus.DISPUTED, "order_id"),
    f"POST {MARKET}/disputes/{{order_id}}": order(OrderStatus.SELLER_CONFIRMED, "order_id"),
    f"POST {MARKET}/disputes/{{order_id}}/draw": order(OrderStatus.DISPUTED, "order_id", drawn=False),
    f"POST {MARKET}/disputes/{{order_id}}/ruling": order(OrderStatus.DISPUTED, "order_id"),
    f"POST {MARKET}/disputes/{{order_id}}/evidence": evidence_to_hand_in,
    f"GET {MARKET}/disputes/{{order_id}}/evidence/{{cid}}": evidence_on_record,
    f"GET {MARKET}/admin/stats/daily": bare,
    f"GET {MARKET}/admin/blacklist": bare,
    f"POST {MARKET}/admin/blacklist": wallet_to_ban,
    f"DELETE {MARKET}/admin/blacklist/{{wallet}}": banned_wallet,
}
