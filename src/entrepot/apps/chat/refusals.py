"""Every refusal of chat."""

from entrepot.kernel.refusal import Conflict, NotFound, Unauthenticated


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
