"""Blocks: what their calls take and answer."""

from datetime import datetime
from typing import Annotated

import msgspec

from entrepot.kernel.http.paging import WalletCursor
from entrepot.kernel.http.route import Ask
from entrepot.kernel.wallet import Wallet


class BlockWallet(Ask, frozen=True):
    """Whom."""

    by: Wallet
    wallet: Wallet


class ListBlocks(Ask, frozen=True, kw_only=True):
    """Those of the caller, the newest first."""

    by: Wallet
    cursor: WalletCursor | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Block(msgspec.Struct, frozen=True):
    """A wallet that the caller hears nothing of."""

    wallet_address: Wallet
    created_at: datetime


class BlockPage(msgspec.Struct, frozen=True):
    """A page of blocks; `next_cursor` is null at the end."""

    items: list[Block]
    next_cursor: str | None
