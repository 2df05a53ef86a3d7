"""Messages: what their calls take and answer."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.cursors import SeqCursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import Base64, BoxNonce
from entrepot.kernel.wallet import Wallet

Seq = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
"""A message's number in its conversation: from 1, without gaps."""


class Envelope(Ask, frozen=True, kw_only=True):
    """What the server relays and cannot open: a NaCl box, a ratchet's message, or what else the clients agree on."""

    by: Wallet
    message_id: UUID
    """Version 7, made by the sender within the last day. Sent again it is the same message, with the first answer."""
    ciphertext: Base64
    nonce: BoxNonce | None = None
    roster: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    """The conversation's, when it was encrypted: it tells for which devices."""


class SendMessage(Envelope, frozen=True, kw_only=True):
    """Into a conversation."""

    id: UUID


class SendDirect(Envelope, frozen=True, kw_only=True):
    """To a wallet, whether or not there is a conversation yet."""

    wallet: Wallet


class Sent(msgspec.Struct, frozen=True):
    """It is committed, and everybody sees it at this place."""

    id: UUID
    conversation_id: UUID
    seq: int
    timestamp: datetime


class ListMessages(Ask, frozen=True, kw_only=True):
    """A page of a conversation: the newest, or those before or after one."""

    by: Wallet
    id: UUID
    cursor: SeqCursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50

    @property
    def is_back(self) -> bool:
        """Whether it is read towards the oldest."""
        return self.cursor is None or self.cursor.is_back


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message, or an event of the conversation, which has no ciphertext."""

    id: UUID
    seq: int
    sender_wallet: Wallet
    ciphertext: str | None = None
    nonce: str | None = None
    event: dict[str, Any] | None = None
    timestamp: datetime
    expires_at: datetime | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """In the order of their numbers, whichever way it is read; `next_cursor` is null where there is nothing beyond.

    What has disappeared or lies in an archive is passed over: a page may be short there, and an empty one is the last.
    """

    items: list[Message]
    next_cursor: str | None
