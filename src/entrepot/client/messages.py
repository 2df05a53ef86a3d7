"""Messages of a trade: sealed for who shall read them before they leave, opened when they come."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from entrepot.apps.escrow.calls.messages import ListMessages, Message, MessagePage, SendMessage
from entrepot.apps.escrow.calls.orders import OrderCard
from entrepot.apps.escrow.calls.profiles import GetProfile, Profile
from entrepot.client.boxes import Boxes
from entrepot.client.failures import WrongDelivery
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet


@dataclass(frozen=True)
class Letter:
    """A message that was opened; `text` is None where it was for somebody else, or sealed to a key of the past."""

    id: UUID
    sender: Wallet
    text: str | None
    at: datetime


class Messages:
    """The messages of one wallet's trades."""

    def __init__(self, transport: Transport, wallet: Wallet, boxes: Boxes) -> None:
        self._transport, self._wallet, self._boxes = transport, wallet, boxes

    async def send(self, order: OrderCard, text: str, to: str | None = None) -> Message:
        """To the present key of the other side, or of `to`, which the arbitrator must name and is named by."""
        ciphertext, nonce = self._boxes.write(text, await self._needed_key(to or self._other(order)))
        ask = asked(SendMessage, by=self._wallet, id=order.id, ciphertext=ciphertext, nonce=nonce)
        return await self._transport.command("POST", "/escrow/orders/{id}/messages", ask, Message)

    async def read(self, order: OrderCard) -> AsyncIterator[Letter]:
        """All of them, newest first, page after page."""
        people = [wallet for wallet in (order.buyer_wallet, order.seller_wallet, order.arbitrator_wallet) if wallet]
        others = {wallet: await self._key(wallet) for wallet in people if wallet != self._wallet}
        ask = asked(ListMessages, by=self._wallet, id=order.id, limit=PAGE)
        async for each in self._transport.every("/escrow/orders/{id}/messages", ask, MessagePage):
            if each.sender_wallet != self._wallet and each.sender_wallet not in others:
                others[each.sender_wallet] = await self._key(each.sender_wallet)
            yield Letter(each.id, each.sender_wallet, self._opened(each, others), each.created_at)

    def _opened(self, message: Message, others: Mapping[Wallet, PublicKey | None]) -> str | None:
        """What it says. The box of a message opens with either key; whom an own one went to, it does not say."""
        mine = message.sender_wallet == self._wallet
        keys = others.values() if mine else [others[message.sender_wallet]]
        return self._boxes.read_by(message.ciphertext, message.nonce, filter(None, keys))

    def _other(self, order: OrderCard) -> Wallet:
        """The other side of a party."""
        if self._wallet not in (order.buyer_wallet, order.seller_wallet):
            raise WrongDelivery("an arbitrator writes to one of the parties: say which")
        return order.seller_wallet if order.buyer_wallet == self._wallet else order.buyer_wallet

    async def _needed_key(self, wallet: str) -> PublicKey:
        key = await self._key(wallet)
        if not key:
            raise WrongDelivery(f"{wallet} has never signed in, so there is no key to write to")
        return key

    async def _key(self, wallet: str) -> PublicKey | None:
        ask = asked(GetProfile, wallet=wallet)
        return (await self._transport.get("/escrow/profile/{wallet}", ask, Profile)).public_key
