"""The journal of a contract: its events and how far they are read, kept in the transaction that folds them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from entrepot.apps.escrow import events
from entrepot.apps.escrow.operations.fold import Placed
from entrepot.apps.escrow.store import blacklist
from entrepot.apps.escrow.store import mirror as store
from entrepot.apps.escrow.store.mirror import Touched
from entrepot.kernel.chain.indexer import CursorMoved, Position, Seen
from entrepot.kernel.db.doors import Read, Write


class Journal(ABC):
    """What the mirrors of all contracts have in common; each says what the events make of its own nouns."""

    def __init__(self, chain: str, contract: str) -> None:
        self.chain = chain
        self.contract = contract

    @abstractmethod
    async def happened(self, db: Write, placed: Sequence[Placed]) -> None:
        """Folds what these events touch. They stand in the journal, in the chain's order, each once."""

    @abstractmethod
    async def taken_back(self, db: Write, touched: Touched, to: Position) -> None:
        """Folds again from what remains in the journal whatever the events above `to` had touched."""

    async def position(self, db: Read) -> Position | None:
        """How far it has come."""
        return await store.position(db, self.chain, self.contract)

    async def known_blocks(self, db: Read, upto: int, most: int) -> list[tuple[int, str]]:
        """Blocks that it holds events of, newest first."""
        return await store.known_blocks(db, self.chain, self.contract, upto, most)

    async def apply(self, db: Write, was: Position | None, seen: Sequence[Seen], now: Position) -> None:
        """Adds the events, folds what they touch and moves the cursor."""
        moved = (
            await store.begin(db, self.chain, self.contract, now)
            if was is None
            else await store.move(db, self.chain, self.contract, was, now)
        )
        if not moved:
            raise CursorMoved
        if seen:
            await store.add_events(db, self.chain, self.contract, seen)
            await self.happened(db, [Placed(one.event, one.at, one.log.block_number, one.log.tx_hash) for one in seen])

    async def undo(self, db: Write, was: Position, to: Position) -> None:
        """Removes the events above the fork and moves the cursor back to it."""
        if not await store.move(db, self.chain, self.contract, was, to):
            raise CursorMoved
        await self.taken_back(db, await store.remove_events(db, self.chain, self.contract, to.block), to)

    async def add_profiles(self, db: Write, wallets: Sequence[str]) -> None:
        """Makes sure that these wallets have profiles; nobody is banned meanwhile without its profile hearing of it."""
        await blacklist.share(db)
        await store.add_profiles(db, wallets)

    async def remaining(self, db: Read, *, orders: Sequence[int] = (), arbitrators: Sequence[str] = ()) -> list[Placed]:
        """What the journal holds of these orders or arbitrators, in the chain's order."""
        rows = await store.events_of(db, self.chain, self.contract, orders, arbitrators)
        return [
            Placed(events.from_json(row["name"], row["fields"]), row["block_at"], row["block_number"], row["tx_hash"])
            for row in rows
        ]
