"""Conversations: what their calls take and answer."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.messages import Message
from entrepot.kernel.http.paging import Cursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.wallet import Wallet


class ListConversations(Ask, frozen=True, kw_only=True):
    """Those of the caller, the one with the newest message first."""

    by: Wallet
    cursor: Cursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One of a pair, which has an `other_wallet`, or of a group, which has a name; `id` is then the group's too.

    While one of a pair has blocked the other, nothing is shown of what the other does.
    """

    id: UUID
    other_wallet: Wallet | None
    group_name: str | None
    roster: int
    """What a message must name; 0 while a block keeps both from writing."""
    first_seq: int
    """The first message that the caller may read."""
    last_seq: int
    read_seq: int
    delivered_seq: int
    unread: int
    other_read_seq: int | None
    other_delivered_seq: int | None
    """How far the other of a pair has read and received; null in a group, and while one has blocked the other."""
    is_online: bool | None
    """Whether the other of a pair is there; null in a group, and while one has blocked the other."""
    keeps_for: int | None
    """Seconds after which messages disappear."""
    last_message: Message | None
    last_at: datetime


class ConversationPage(msgspec.Struct, frozen=True):
    """A page of conversations; `next_cursor` is null at the end."""

    items: list[Conversation]
    next_cursor: str | None


class ChangeConversation(Ask, frozen=True, kw_only=True):
    """For how long it keeps messages, in seconds; null keeps them."""

    by: Wallet
    id: UUID
    keeps_for: Annotated[int, msgspec.Meta(ge=5, le=366 * 86_400)] | None


class CountUnread(Ask, frozen=True):
    """Of the caller."""

    by: Wallet


class Unread(msgspec.Struct, frozen=True):
    """How many messages are unread, and in how many conversations."""

    messages: int
    conversations: int


class MarkRead(Ask, frozen=True, kw_only=True):
    """How far the caller has read, or received; what is less than was told before changes nothing."""

    by: Wallet
    id: UUID
    read_seq: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0
    delivered_seq: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0


class ReadSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """How far the caller has read and received now."""

    conversation_id: UUID
    read_seq: int
    delivered_seq: int
    unread: int
