"""The live stream: what is asked, and the frames that come, each with the `kind` that its struct names.

Beside these come the house's own: `ready`, `beat`, `start_over`, `reply` and `refused` (kernel/http/frames.py).
"""

from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.messages import Message
from entrepot.kernel.http.route import Ask
from entrepot.kernel.wallet import Wallet


class ChatEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something happened in a conversation of yours."""

    conversation_id: UUID
    cursor: str | msgspec.UnsetType = msgspec.UNSET
    """How far the stream is with this frame; it is put in when it is sent."""


class MessageSent(ChatEvent, frozen=True, tag="message"):
    """There is a message, or an event of the conversation; `seq` is one more than that of the message before."""

    message: Message
    roster: int
    """Who is to be encrypted for from now on."""


class ReceiptMoved(ChatEvent, frozen=True, tag="receipt"):
    """Somebody has received and read so far; they never go back."""

    wallet: Wallet
    read_seq: int
    delivered_seq: int


class GroupOpened(ChatEvent, frozen=True, tag="group_opened"):
    """You are in this group from now on; its messages come on this stream."""


class GroupClosed(ChatEvent, frozen=True, tag="group_closed"):
    """You are in this group no longer, and nothing more of it comes."""


class GroupEnded(ChatEvent, frozen=True, tag="group_ended"):
    """Its owner has ended the group."""


class Invited(ChatEvent, frozen=True, tag="invited"):
    """Somebody invites you to a group."""

    by_wallet: Wallet


class KeysChanged(ChatEvent, frozen=True, tag="keys_changed"):
    """Somebody in it has to be encrypted for otherwise: look at their keys before you write the next message."""

    wallet: Wallet
    event: str
    """As in the key log: public_key, device, identity or removed."""
    device_id: UUID | None
    roster: int


class OwnEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something happened to what is yours alone."""

    cursor: str | msgspec.UnsetType = msgspec.UNSET


class OwnKeysChanged(OwnEvent, frozen=True, tag="own_keys_changed"):
    """A key of yours has changed. If that was not you, somebody has your session, or your wallet."""

    event: str
    device_id: UUID | None
    keys_version: int


class KeysLow(OwnEvent, frozen=True, tag="keys_low"):
    """So few one-time keys of that device are left: bring more."""

    device_id: UUID
    one_time_keys: int


class BlockChanged(OwnEvent, frozen=True, tag="block_changed"):
    """You have blocked a wallet, or taken it back."""

    wallet: Wallet
    is_blocked: bool


class TellTyping(Ask, frozen=True, kw_only=True):
    """That the caller is writing in a conversation. Nobody keeps it; say so again every few seconds."""

    by: Wallet
    id: UUID


class Whisper(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What is of this moment only: it has no cursor, and who is not there never hears of it."""


class Typing(Whisper, frozen=True, tag="typing"):
    """Somebody is writing."""

    conversation_id: UUID
    wallet: Wallet


class Presence(Whisper, frozen=True, tag="presence"):
    """Somebody whom you write with has come, or gone."""

    wallet: Wallet
    is_online: bool


FRAMES = (
    MessageSent,
    ReceiptMoved,
    GroupOpened,
    GroupClosed,
    GroupEnded,
    Invited,
    KeysChanged,
    OwnKeysChanged,
    KeysLow,
    BlockChanged,
    Typing,
    Presence,
)
