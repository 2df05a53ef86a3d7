"""Arbitrators: what their calls take and answer."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

import msgspec

from entrepot.apps.escrow.model import ChainName
from entrepot.kernel.http import paging
from entrepot.kernel.http.route import Ask
from entrepot.kernel.money import Amount
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import Value
from entrepot.kernel.wallet import Wallet

FORM = re.compile(r"newest~(?P<registered>[0-9T:.-]{19,26}Z)~(?P<wallet>0x[0-9a-fA-F]{40})")


class ArbitratorCursor(Value, str):
    """Where a page of arbitrators ended: when that one registered, and its wallet."""

    __slots__ = ()
    schema: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": 100, "description": "next_cursor of a page"}

    @classmethod
    def parse(cls, given: object) -> Self:
        if not isinstance(given, str) or FORM.fullmatch(given) is None:
            raise ValueError("must be the next_cursor of an earlier page")
        return cls(given)

    @property
    def place(self) -> tuple[datetime, str]:
        """When the last one of the page registered, and its wallet; raises `Malformed`."""
        _, registered, wallet = self.split("~")
        try:
            return paging.moment(registered), wallet
        except ValueError as wrong:
            raise Malformed("cursor", str(wrong)) from None


class ListArbitrators(Ask, frozen=True):
    """Who may be drawn, the newest first."""

    cursor: ArbitratorCursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


class PoolMember(msgspec.Struct, frozen=True):
    """An arbitrator in the pool of one chain, which draws it in proportion to stake and reputation."""

    chain: ChainName
    stake_amount: Amount
    stake_token: Wallet
    reputation: int
    assigned: int
    """Disputes that wait for its ruling."""
    total_resolved: int


class Arbitrator(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may be drawn. Stake and reputation are of the pool where it has staked most, counts of all pools."""

    wallet: Wallet
    stake_amount: Amount
    stake_token: Wallet
    reputation: int
    total_resolved: int
    total_earned: Amount
    """In tokens, whichever they were."""
    is_active: bool
    registered_at: datetime
    updated_at: datetime
    pools: list[PoolMember]
    """Where it may be drawn."""


class ArbitratorPage(msgspec.Struct, frozen=True):
    """A page of arbitrators; `next_cursor` is null at the end."""

    items: list[Arbitrator]
    next_cursor: str | None
