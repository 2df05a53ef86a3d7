"""Messages of a trade: sealed for the other side before they leave, opened when they come."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from entrepot.apps.escrow.calls.messages import ListMessages, Message, MessagePage, SendMessage
from entrepot.apps.escrow.calls.orders import OrderCard
from entrepot.apps.escrow.calls.profiles import GetProfile, Profile
from entrepot.client.boxes import Boxes
from entrepot.client.failures import WrongDelivery
from entrepot.client.transport import Transport, asked
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet

PAGE = 100


@dataclass(frozen=True)
class Letter:
    """A message that was opened; `text` is None where it was sealed to a key that one of the two no longer has."""

    id: UUID
    sender: Wallet
    text: str | None
    at: datetime


class Messages:
    """The messages of one wallet's trades."""

    def __init__(self, transport: Transport, wallet: Wallet, boxes: Boxes) -> None:
        self._transport, self._wallet, self._boxes = transport, wallet, boxes

    async def send(self, order: OrderCard, text: str) -> Message:
        """To the other side's present key."""
        ciphertext, nonce = self._boxes.write(text, await self._other_key(order))
        ask = asked(SendMessage, by=self._wallet, id=order.id, ciphertext=ciphertext, nonce=nonce)
        return await self._transport.command("POST", "/escrow/orders/{id}/messages", ask, Message)

    async def read(self, order: OrderCard) -> AsyncIterator[Letter]:
        """All of them, newest first, page after page."""
        other = await self._other_key(order)
        cursor: str | None = None
        while True:
            ask = asked(ListMessages, by=self._wallet, id=order.id, limit=PAGE, cursor=cursor)
            page = await self._transport.get("/escrow/orders/{id}/messages", ask, MessagePage)
            for each in page.items:
                text = self._boxes.read(each.ciphertext, each.nonce, other)
                yield Letter(each.id, each.sender_wallet, text, each.created_at)
            if (cursor := page.next_cursor) is None:
                return

    async def _other_key(self, order: OrderCard) -> PublicKey:
        other = order.seller_wallet if order.buyer_wallet == self._wallet else order.buyer_wallet
        profile = await self._transport.get("/escrow/profile/{wallet}", GetProfile(wallet=other), Profile)
        if not profile.public_key:
            raise WrongDelivery(f"{other} has never signed in, so there is no key to write to")
        return profile.public_key
