"""Who hears what: a pair is told by its two wallets, a group by a topic of its own."""

from datetime import datetime
from uuid import UUID

from entrepot.apps.chat.calls.live import ChatEvent
from entrepot.apps.chat.store.sending import Locked
from entrepot.kernel.work.outbox import Letter


def of_wallet(wallet: str) -> str:
    """What all sockets of a wallet follow."""
    return f"chat:{wallet}"


def of_group(group: UUID) -> str:
    """What the members of a group follow."""
    return f"chat:{group}"


def letter(place: Locked, event: ChatEvent, expires_at: datetime | None = None) -> Letter:
    """To everybody in a conversation; of what disappears, as long as it is there."""
    if place.first_wallet is None or place.second_wallet is None:
        return Letter(of_group(place.id), event, expires_at=expires_at)
    return Letter(of_wallet(place.first_wallet), event, also=of_wallet(place.second_wallet), expires_at=expires_at)
