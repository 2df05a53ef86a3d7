"""Arbitrators: what their calls take and answer."""

from datetime import datetime
from typing import Annotated

import msgspec

from entrepot.apps.escrow.model import ChainName
from entrepot.kernel.http.paging import WalletCursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.money import Amount
from entrepot.kernel.wallet import Wallet


class ListArbitrators(Ask, frozen=True):
    """Who may be drawn, the newest first."""

    cursor: WalletCursor | None = None
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
