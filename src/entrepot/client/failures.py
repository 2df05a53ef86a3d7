"""What can go wrong for a client: the server refuses, does not answer, or answers what must not be believed."""

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """The server refused (RFC 9457). `type` is the refusal's stable name, as in "out-of-stock"; `facts` are its own."""

    def __init__(
        self,
        status: int,
        type: str,  # noqa: A002 - the name that RFC 9457 gives it
        detail: str,
        facts: Mapping[str, Any],
        *,
        wait: float | None = None,
    ) -> None:
        super().__init__(f"{status} {type}: {detail}")
        self.status, self.type, self.detail, self.facts = status, type, detail, facts
        self.wait = wait
        """Seconds until it is worth asking again, where the server said so (Retry-After)."""


class Unreachable(Exception):
    """The server did not answer, however often it was asked. A command may have been carried out."""


class WrongTransaction(Exception):
    """The server prepared another transaction than the one that was asked for. Nothing was signed."""


class WrongDelivery(Exception):
    """What lies on the server is not what the seller confirmed to the contract, or not sealed to this wallet."""


class WrongEvidence(Exception):
    """Evidence that is not what is on record at the contract, or that cannot be sealed to or opened by who should."""


class NoKey(Exception):
    """Whom one writes to has never signed in with a key, or the message is too long for so many readers."""


class Late(Exception):
    """The server does not show in time what was waited for; the chain may have it all the same."""
