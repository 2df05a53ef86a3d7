"""Who hears what: a pair is told by its two wallets, a group by a topic of its own."""

from uuid import UUID

from entrepot.apps.chat.store.sending import Locked


def of_wallet(wallet: str) -> str:
    """What all sockets of a wallet follow."""
    return f"chat:{wallet}"


def of_group(group: UUID) -> str:
    """What the members of a group follow."""
    return f"chat:{group}"


def topics(place: Locked) -> tuple[str, str | None]:
    """A topic of the conversation, and the other one where it is a pair's."""
    if place.first_wallet is None or place.second_wallet is None:
        return of_group(place.id), None
    return of_wallet(place.first_wallet), of_wallet(place.second_wallet)
