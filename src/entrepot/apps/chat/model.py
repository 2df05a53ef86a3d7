"""Nouns of chat. Enum values are the reference's own, where it has them."""

from enum import StrEnum

from entrepot.kernel.machine import Machine


class Status(StrEnum):
    """How far a message has come, to the one who is slowest."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"


class Receipt(StrEnum):
    """What moves it."""

    DELIVER = "deliver"
    READ = "read"


STATUS = Machine(
    {
        (Status.SENT, Receipt.DELIVER): Status.DELIVERED,
        (Status.SENT, Receipt.READ): Status.READ,
        (Status.DELIVERED, Receipt.READ): Status.READ,
    }
)


class Role(StrEnum):
    """What somebody is in a group."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


class Party(StrEnum):
    """What a caller must be to the thing that a call names; for `Route.of`."""

    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"
    INVITED = "invited"
    HOLDER = "holder"
    """Of a device, or of a block."""


MOST_OCTETS = 65_536
"""Of a message's ciphertext."""
MOST_MEMBERS = 10_000
