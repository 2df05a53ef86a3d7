"""The live stream: what is asked, and the frames that come, each with the `kind` that its struct names.

Beside these come the house's own: `ready`, `beat`, `start_over`, `reply` and `refused` (kernel/http/frames.py).
"""

from uuid import UUID

import msgspec

from entrepot.apps.chat.calls.messages import Message
from entrepot.kernel.wallet import Wallet


class ChatEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something happened in a conversation of yours."""

    conversation_id: UUID
    cursor: str | msgspec.UnsetType = msgspec.UNSET
    """How far the stream is with this frame; it is put in when it is sent."""


class MessageSent(ChatEvent, frozen=True, tag="message"):
    """There is a message, or an event of the group; `seq` is one more than that of the message before."""

    message: Message
    roster: int
    """Who is to be encrypted for from now on."""


class ReceiptMoved(ChatEvent, frozen=True, tag="receipt"):
    """Somebody has received and read so far; they never go back."""

    wallet: Wallet
    read_seq: int
    delivered_seq: int
