"""Orders: what their calls take and answer."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from entrepot.apps.escrow.model import ChainName, OrderStatus, Token
from entrepot.kernel.http.paging import Cursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.money import Amount
from entrepot.kernel.values import Base64, Hash32, PublicKey
from entrepot.kernel.wallet import Wallet


class SealedKey(Base64):
    """The key of a good, sealed to the buyer's public key."""

    __slots__ = ()
    most = 16_384


class Role(StrEnum):
    """Which side of a trade one is on."""

    BUYER = "buyer"
    SELLER = "seller"
    ANY = "any"


class PrepareOrder(Ask, frozen=True):
    """What the caller wants to buy, and with which token on which chain."""

    by: Wallet
    product_id: UUID
    chain: ChainName
    token: Token


class UnsignedTransaction(msgspec.Struct, frozen=True):
    """A transaction for the caller's wallet to sign and send."""

    chain_id: int
    to: Wallet
    data: str
    """The call, as 0x and hexadecimal digits."""
    value: str = "0x0"
    """Wei, as 0x and hexadecimal digits."""


class PreparedOrder(msgspec.Struct, frozen=True):
    """One unit, kept for the buyer until `expires_at`, and the two transactions that make the order of it."""

    id: UUID
    """The order's id, once the chain has it; it is the order reference in the call."""
    expires_at: datetime
    amount: Amount
    platform_fee: Amount
    total: Amount
    """What the wallet will be charged: amount and fee."""
    chain_id: int
    approval: UnsignedTransaction
    """To be sent first: allows the escrow to pull the total."""
    transaction: UnsignedTransaction


class ListOrders(Ask, frozen=True):
    """The caller's own trades, newest first."""

    by: Wallet
    role: Role = Role.ANY
    status: OrderStatus | None = None
    cursor: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class GetOrder(Ask, frozen=True):
    """One trade, or an act on it that takes nothing more."""

    by: Wallet
    id: UUID


class OrderCard(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as it stands in a list. The deadlines are the contract's own."""

    id: UUID
    onchain_order_id: int
    chain: ChainName
    buyer_wallet: Wallet
    seller_wallet: Wallet
    arbitrator_wallet: Wallet | None
    product_id: UUID
    product_title: str
    token: Token
    amount: Amount
    platform_fee: Amount
    status: OrderStatus
    tx_hash_create: Hash32
    tx_hash_complete: Hash32 | None
    seller_confirmed_at: datetime | None
    dispute_opened_at: datetime | None
    dispute_deadline: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    seller_deadline: datetime
    release_deadline: datetime | None
    delivery_hash: Hash32 | None
    """What the seller confirmed on the chain: SHA-256 of the sealed key."""
    cancelled_by: Wallet | None
    is_direct: bool
    """It was made around this market: nothing was reserved for it."""
    confirmations: int
    """How many blocks hold the order's last event, that of the event included."""
    buyer_public_key: PublicKey | None


class Order(OrderCard, frozen=True, kw_only=True):
    """A trade, with what was delivered."""

    product_key_encrypted: str | None
    """The buyer sees it once the contract has the seller's confirmation: before, a cancellation would make it free."""


class OrderPage(msgspec.Struct, frozen=True):
    """A page of trades; `next_cursor` is null at the end."""

    items: list[OrderCard]
    next_cursor: str | None


class Deliver(Ask, frozen=True):
    """What the seller delivers."""

    by: Wallet
    id: UUID
    product_key_encrypted: SealedKey
    buyer_public_key: PublicKey
    """The key that it is sealed to, which must still be the buyer's."""


class Delivery(msgspec.Struct, frozen=True):
    """The delivery is kept; the transaction confirms it to the contract, which starts the buyer's time."""

    delivery_hash: Hash32
    transaction: UnsignedTransaction


class PreparedAct(msgspec.Struct, frozen=True):
    """Nothing has changed yet: the order moves when the chain has this transaction."""

    transaction: UnsignedTransaction
