"""The blacklist: what its calls take and answer."""

from datetime import datetime
from typing import Annotated

import msgspec

from entrepot.apps.escrow.model import BlacklistSource
from entrepot.kernel.http.paging import WalletCursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.values import Text
from entrepot.kernel.wallet import Wallet


class Reason(Text):
    """Why a wallet may not trade."""

    __slots__ = ()
    most = 200
    example = "sold the same account twice"


class ListBlacklist(Ask, frozen=True):
    """Wallets that may not trade here, the newest first."""

    source: BlacklistSource | None = None
    cursor: WalletCursor | None = None
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
