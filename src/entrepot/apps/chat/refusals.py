"""Every refusal of chat."""

from entrepot.kernel.refusal import Conflict, Forbidden, Malformed, NotFound, Unauthenticated


class SignInAgain(Unauthenticated):
    """This wallet is not known to the chat yet: sign in again."""


class NoSuchUser(NotFound):
    """There is nobody with this wallet whom you could write to."""


class NoSuchConversation(NotFound):
    """There is no such conversation, or you are not in it."""


class StaleRoster(Conflict):
    """Somebody's devices have changed, or who is in it: encrypt for those of roster {roster} and send again."""

    roster: int


class MessageIdTaken(Conflict):
    """There is another message with this id: give every message an id of its own."""


class NotForMembers(Forbidden):
    """Only the owner and the admins of the group may do this."""


class NoSuchGroup(NotFound):
    """There is no such group, or it is not open to you."""


class NotOfThisGroup(NotFound):
    """Nobody with this wallet is in the group."""


class AlreadyMember(Conflict):
    """This wallet is in the group already."""


class GroupFull(Conflict):
    """A group has at most {most} members."""

    most: int


class OwnerStays(Conflict):
    """The owner hands the group over to a member first, or ends it."""


class NoSuchBlock(NotFound):
    """You have not blocked this wallet."""


class TooManyBlocks(Conflict):
    """You may block at most {most} wallets."""

    most: int


class NoSuchDevice(NotFound):
    """You have no such device."""


class DeviceIdTaken(Conflict):
    """A device cannot have this id: give it a new one."""


class TooManyDevices(Conflict):
    """A wallet has at most {most} devices: remove one first."""

    most: int


class StaleKeys(Conflict):
    """The wallet's keys have changed: look at them again, then sign for version {version} and one more."""

    version: int


class StalePrekey(Conflict):
    """The device has a newer signed prekey already, or another with this number; its own is {key_id}."""

    key_id: int


class TooManyKeys(Conflict):
    """A device keeps at most {most} one-time keys here, and has {held}."""

    most: int
    held: int


class WrongSignature(Malformed):
    """{field}: {reason}"""
