"""Disputes of one wallet: opened, drawn and ruled by transactions that are checked, with evidence for three readers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic
from typing import Protocol
from uuid import UUID

from entrepot.apps.escrow.calls.arbitrators import Arbitrator, ArbitratorPage, ListArbitrators
from entrepot.apps.escrow.calls.disputes import AskDispute, Dispute, Rule
from entrepot.apps.escrow.calls.evidence import (
    GetEvidence,
    SealedEvidence,
    SubmitEvidence,
    SubmittedEvidence,
    document,
)
from entrepot.apps.escrow.calls.orders import GetOrder, Order, PreparedAct
from entrepot.apps.escrow.calls.outcomes import Outcomes
from entrepot.apps.escrow.calls.profiles import GetProfile, Profile
from entrepot.apps.escrow.model import EvidenceType, OrderStatus
from entrepot.client.boxes import Boxes
from entrepot.client.failures import Late, Refused, WrongEvidence
from entrepot.client.purse import Purse
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.chain.rpc import Receipt
from entrepot.kernel.store.cid import Cid, cid_of
from entrepot.kernel.wallet import Wallet

LOOK = 0.1  # seconds between two looks at a dispute


class Orders(Protocol):
    """What disputes need of the rest of the client."""

    @property
    def wallet(self) -> Wallet: ...

    @property
    def patience(self) -> float: ...

    async def order(self, order: UUID) -> Order: ...

    async def until(self, order: UUID, *statuses: OrderStatus) -> Order: ...


@dataclass(frozen=True)
class Handed:
    """Evidence that is kept, and the receipt of its address at the contract."""

    cid: Cid
    receipt: Receipt


class Disputes:
    """What a party or an arbitrator does in a dispute."""

    def __init__(self, transport: Transport, purse: Purse, boxes: Boxes, orders: Orders) -> None:
        self._transport, self._purse, self._boxes, self._orders = transport, purse, boxes, orders
        self._wallet = orders.wallet

    async def get(self, order: UUID) -> Dispute:
        """Where it stands."""
        ask = AskDispute(by=self._wallet, order_id=order)
        return await self._transport.get("/escrow/disputes/{order_id}", ask, Dispute)

    async def outcomes(self, order: UUID) -> Outcomes:
        """What can be done with an order now, and who gets what then."""
        return await self._transport.get("/escrow/orders/{id}/outcomes", GetOrder(by=self._wallet, id=order), Outcomes)

    async def arbitrators(self) -> AsyncIterator[Arbitrator]:
        """Who may be drawn, page after page."""
        ask = asked(ListArbitrators, limit=PAGE)
        async for each in self._transport.every("/escrow/arbitrators", ask, ArbitratorPage):
            yield each

    async def open(self, order: UUID) -> Order:
        """Either party, after the delivery is confirmed and before the money is released."""
        await self._act(AskDispute(by=self._wallet, order_id=order), "", "openDispute")
        return await self._orders.until(order, OrderStatus.DISPUTED)

    async def draw(self, order: UUID) -> Receipt:
        """Moves the search for an arbitrator on by one step, once the block that decides it is there."""
        ends = monotonic() + self._orders.patience
        while True:
            try:
                return await self._act(AskDispute(by=self._wallet, order_id=order), "/draw", "drawArbitrator")
            except Refused as refused:
                if refused.type != "draw-too-early" or monotonic() > ends:
                    raise
            await asyncio.sleep(LOOK)

    async def rule(self, order: UUID, *, favor_buyer: bool) -> Order:
        """The arbitrator's own word, which pays out at once."""
        ask = Rule(by=self._wallet, order_id=order, favor_buyer=favor_buyer)
        await self._act(ask, "/ruling", "resolveDispute", favor_buyer)
        status = OrderStatus.RESOLVED_BUYER if favor_buyer else OrderStatus.RESOLVED_SELLER
        return await self._orders.until(order, status)

    async def until_drawn(self, order: UUID) -> Dispute:
        """The dispute, once the market shows an arbitrator. Raises `Late`."""
        ends = monotonic() + self._orders.patience
        while (dispute := await self.get(order)).arbitrator_wallet is None:
            if monotonic() > ends:
                raise Late(f"order {order} has no arbitrator after {self._orders.patience:.0f} s")
            await asyncio.sleep(LOOK)
        return dispute

    async def submit(self, order: UUID, evidence: bytes, kind: EvidenceType = EvidenceType.OTHER) -> Handed:
        """Seals evidence to both parties and the arbitrator, hands it in, and puts its address on record.

        The address is reckoned here, so that no other document goes on record under this wallet's name.
        """
        dispute = await self.get(order)
        if dispute.arbitrator_wallet is None:
            raise WrongEvidence("there is no arbitrator yet whom it could be sealed to")
        readers = (dispute.buyer_wallet, dispute.seller_wallet, dispute.arbitrator_wallet)
        data, iv, keys = self._boxes.seal_to({wallet: await self._key_of(wallet) for wallet in readers}, evidence)
        ask = asked(
            SubmitEvidence,
            by=self._wallet,
            order_id=order,
            encrypted_data=data,
            iv=iv,
            keys=keys,
            evidence_type=kind,
        )
        kept = await self._transport.command("POST", "/escrow/disputes/{order_id}/evidence", ask, SubmittedEvidence)
        if kept.cid != cid_of(document(SealedEvidence(ask.encrypted_data, ask.iv, ask.keys))):
            raise WrongEvidence("the server has another address of what was handed in")
        found = await self._orders.order(order)
        receipt = await self._purse.checked_act(found, kept.transaction, "submitEvidence", kept.cid)
        return Handed(kept.cid, receipt)

    async def read(self, order: UUID, cid: str) -> bytes:
        """Evidence, opened, once it is what its address says. Raises `WrongEvidence`."""
        ask = asked(GetEvidence, by=self._wallet, order_id=order, cid=cid)
        sealed = await self._transport.get("/escrow/disputes/{order_id}/evidence/{cid}", ask, SealedEvidence)
        if cid_of(document(sealed)) != cid:
            raise WrongEvidence("it is another document than the one on record")
        if self._wallet not in sealed.keys:
            raise WrongEvidence("it is not sealed to this wallet")
        return self._boxes.unseal_from(sealed.encrypted_data.raw, sealed.iv.raw, sealed.keys[self._wallet].raw)

    async def _act(self, ask: AskDispute | Rule, path: str, function: str, *more: object) -> Receipt:
        """An act that the server prepares, checked and sent."""
        prepared = await self._transport.command("POST", "/escrow/disputes/{order_id}" + path, ask, PreparedAct)
        found = await self._orders.order(ask.order_id)
        return await self._purse.checked_act(found, prepared.transaction, function, *more)

    async def _key_of(self, wallet: Wallet) -> str:
        profile = await self._transport.get("/escrow/profile/{wallet}", GetProfile(wallet=wallet), Profile)
        if not profile.public_key:
            raise WrongEvidence(f"{wallet} has never signed in, so there is no key to seal to")
        return profile.public_key
