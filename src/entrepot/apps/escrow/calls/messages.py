"""Messages of a trade: what their calls take and answer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from entrepot.kernel.http.paging import Cursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import Base64, BoxNonce
from entrepot.kernel.wallet import Wallet


class SendMessage(Ask, frozen=True):
    """A NaCl box for the other side; the server cannot open it."""

    by: Wallet
    id: UUID
    ciphertext: Base64
    nonce: BoxNonce


class ListMessages(Ask, frozen=True):
    """The messages of one trade, newest first."""

    by: Wallet
    id: UUID
    cursor: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Message(msgspec.Struct, frozen=True):
    """One message."""

    id: UUID
    sender_wallet: Wallet
    ciphertext: str
    nonce: str
    created_at: datetime


class MessagePage(msgspec.Struct, frozen=True):
    """A page of messages; `next_cursor` is null at the end."""

    items: list[Message]
    next_cursor: str | None
