"""Events: what happens to a conversation and stands in it among the messages, each with the `kind` of its struct."""

import msgspec

from entrepot.kernel.wallet import Wallet


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Who did it is the sender of the message that it is."""


class KeepsFor(Event, frozen=True, tag="keeps_for"):
    """Messages disappear so many seconds after they were sent, from here on; null: they stay."""

    seconds: int | None


class Joined(Event, frozen=True, tag="joined"):
    """The sender has come into the group."""


class Gone(Event, frozen=True, tag="gone"):
    """Somebody is no longer in the group: they left, or the sender put them out."""

    wallet: Wallet


class Renamed(Event, frozen=True, tag="renamed"):
    """The group has another name, or is public now, or no longer."""

    name: str
    is_public: bool


class RoleGiven(Event, frozen=True, tag="role"):
    """Somebody is something else in the group now; who becomes its owner was so in the place of the sender."""

    wallet: Wallet
    role: str
