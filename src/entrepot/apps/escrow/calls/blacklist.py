"""The blacklist: what its calls take and answer."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

import msgspec

from entrepot.apps.escrow.model import BlacklistSource
from entrepot.kernel.http import paging
from entrepot.kernel.http.route import Ask
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import Text, Value
from entrepot.kernel.wallet import Wallet

FORM = re.compile(r"newest~(?P<added>[0-9T:.-]{19,26}Z)~(?P<wallet>0x[0-9a-fA-F]{40})")


class Reason(Text):
    """Why a wallet may not trade."""

    __slots__ = ()
    most = 200
    example = "sold the same account twice"


class BlacklistCursor(Value, str):
    """Where a page of the blacklist ended: when that wallet was added, and the wallet."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 100, "description": "next_cursor of a page"}

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str) or FORM.fullmatch(given) is None:
            raise ValueError("must be the next_cursor of an earlier page")
        return cls(given)

    @property
    def place(self) -> tuple[datetime, str]:
        """When the last wallet of the page was added, and which it is; raises `Malformed`."""
        _, added, wallet = self.split("~")
        try:
            return paging.moment(added), wallet
        except ValueError as wrong:
            raise Malformed("cursor", str(wrong)) from None


class ListBlacklist(Ask, frozen=True):
    """Wallets that may not trade here, the newest first."""

    source: BlacklistSource | None = None
    cursor: BlacklistCursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class BanWallet(Ask, frozen=True):
    """A wallet that may not trade here from now on, be it known here or not."""

    by: Wallet
    wallet: Wallet
    reason: Reason
    source: BlacklistSource = BlacklistSource.MANUAL


class PardonWallet(Ask, frozen=True):
    """A wallet that may trade here again."""

    wallet: Wallet


class BlacklistEntry(msgspec.Struct, frozen=True):
    """A wallet that may not trade here, and why."""

    wallet: Wallet
    reason: str
    source: BlacklistSource
    added_by: Wallet | None
    """The operator; null where the command line did it."""
    created_at: datetime


class BlacklistPage(msgspec.Struct, frozen=True):
    """A page of the blacklist; `next_cursor` is null at the end."""

    items: list[BlacklistEntry]
    next_cursor: str | None
