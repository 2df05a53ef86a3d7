"""The mirror of ArbitratorPool: what its events make of members, and all chains' pools of a wallet."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from entrepot.apps.escrow import events
from entrepot.apps.escrow.caches import ARBITRATORS
from entrepot.apps.escrow.events import (
    ArbitratorRegistered,
    ArbitratorWithdrawn,
    Assigned,
    OfMember,
    ReputationUpdated,
    StakeIncreased,
)
from entrepot.apps.escrow.operations.fold import Mirrored, Placed
from entrepot.apps.escrow.operations.journal import Journal
from entrepot.apps.escrow.store import arbitrators as store
from entrepot.apps.escrow.store.arbitrators import Member
from entrepot.apps.escrow.store.mirror import KeptOrder, Touched
from entrepot.kernel.cache.busts import forget
from entrepot.kernel.chain.indexer import Position
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.db.doors import Write
from entrepot.kernel.money import from_units

SUFFICES = Decimal(500)
"""Tokens without which nobody is active; a constant of the contract."""


class NoSuchMember(Exception):
    """An event tells of somebody who never registered: the mirror did not begin at the contract's first block."""


class PoolMirror(Journal):
    """The mirror of one ArbitratorPool on one chain. `token` is what its members stake."""

    def __init__(self, chain: str, contract: str, token: Deployed) -> None:
        super().__init__(chain, contract)
        self.token = token

    async def happened(self, db: Write, placed: Sequence[Placed]) -> None:
        """Folds the members that the events touch."""
        told = [(one.event, one.at) for one in placed if isinstance(one.event, events.OF_MEMBERS)]
        wallets = sorted({event.arbitrator for event, _ in told})
        if not wallets:
            return
        await self.add_profiles(db, wallets)
        members = {member.wallet: member for member in await store.lock_members(db, self.chain, wallets)}
        await self._write(db, self._folded(members, told))

    async def taken_back(self, db: Write, touched: Touched, _to: Position) -> None:
        """Folds every member that was touched again; one of whom nothing remains was never there."""
        if not touched.arbitrators:
            return
        remaining = await self.remaining(db, arbitrators=touched.arbitrators)
        told = [(one.event, one.at) for one in remaining if isinstance(one.event, events.OF_MEMBERS)]
        members = self._folded({}, told)
        await store.remove_members(db, self.chain, sorted(set(touched.arbitrators) - set(members)))
        await self._write(db, members, touched.arbitrators)

    async def _write(self, db: Write, members: dict[str, Member], touched: Iterable[str] = ()) -> None:
        if members:
            await store.set_members(db, self.chain, self.token.address, list(members.values()))
        await settle(db, {*members, *touched})

    def _folded(self, members: dict[str, Member], told: Iterable[tuple[OfMember, datetime]]) -> dict[str, Member]:
        for event, at in told:
            members[event.arbitrator] = fold(members.get(event.arbitrator), event, at, self.token.decimals or 0)
        return members


def fold(member: Member | None, event: OfMember, at: datetime, decimals: int) -> Member:
    """The member after one more event, as the contract says: its events carry the state after them."""
    if isinstance(event, ArbitratorRegistered):
        stake = from_units(event.stake, decimals)
        resolved = 0 if member is None else member.total_resolved
        return Member(
            wallet=event.arbitrator,
            stake_amount=stake,
            pledged=stake,
            reputation=event.reputation,
            assigned=0,
            total_resolved=resolved,
            is_active=True,
            registered_at=at,
            updated_at=at,
        )
    if member is None:
        raise NoSuchMember(f"{event.arbitrator} has {type(event).__name__} and never registered")
    return msgspec.structs.replace(member, updated_at=at, **_told(member, event, decimals))


def _told(
    member: Member, event: Assigned | ArbitratorWithdrawn | StakeIncreased | ReputationUpdated, decimals: int
) -> dict[str, object]:
    match event:
        case Assigned():
            return {"assigned": event.assigned}
        case ArbitratorWithdrawn():
            return {"stake_amount": Decimal(0), "is_active": False}
        case StakeIncreased():
            return {"is_active": event.active, **_staked(member, event.stake, decimals)}
        case ReputationUpdated():
            return {
                "reputation": event.reputation,
                "is_active": event.active,
                "assigned": event.assigned,
                "total_resolved": event.resolved,
                **_staked(member, event.stake, decimals),
            }


def _staked(member: Member, units: int, decimals: int) -> dict[str, object]:
    stake = from_units(units, decimals)
    return {"stake_amount": stake, "pledged": stake if stake >= SUFFICES else member.pledged}


async def settle_rulings(db: Write, orders: Sequence[tuple[KeptOrder, Mirrored | None]]) -> None:
    """Counts anew what arbitrators have earned whose orders end here, or end no longer (None: the chain took it back).

    Comes after the orders are written and their rulings marked.
    """
    moved = [(row, order) for row, order in orders if order is None or row.status != order.status]
    wallets = {one.arbitrator_wallet for pair in moved for one in pair if one is not None}
    if named := {wallet for wallet in wallets if wallet is not None}:
        await settle(db, named)


async def settle(db: Write, wallets: Iterable[str]) -> None:
    """Makes the rows of these arbitrators what the pools and their rulings say; the last that a mirror locks."""
    named = sorted(wallets)
    await store.hold(db)
    await store.settle(db, named)
    await store.remove_others(db, named)
    await forget(db, ARBITRATORS)
