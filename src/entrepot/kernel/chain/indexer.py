"""The indexer follows one contract on one chain: its logs, in order, each applied exactly once.

What a step read is given to the mirror together with the new position, and the mirror writes both in one transaction.
Killed at any instant, the indexer goes on from the position that was committed. When a block that was read is no longer
on the chain, what lies above the fork is undone and read again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from time import monotonic
from typing import Protocol, TypeVar

import msgspec

from entrepot.kernel.chain.abi import Contract, Event
from entrepot.kernel.chain.bloom import may_hold
from entrepot.kernel.chain.logs import Page, pages
from entrepot.kernel.chain.rpc import BadAnswer, Block, ChainFailure, Log, Node, Rpc
from entrepot.kernel.clock import from_unix
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read, Write

T = TypeVar("T")
LOG = logging.getLogger("entrepot.chain")
TRAIL = 256
CHECKED_AT_ONCE = 50
NEAR = 16
"""Blocks below the head whose logs are held against the blocks themselves: a node behind a balancer may answer with the
logs of one that is not as far, or of another fork, and says nothing."""


class CursorMoved(Exception):
    """Another indexer moved the cursor; what this one read is not applied."""


class Position(msgspec.Struct, frozen=True):
    """How far a contract is mirrored: the last block that was read, its hash and the chain's own time there."""

    block: int
    hash: str
    at: datetime


class Seen(msgspec.Struct, frozen=True):
    """An event where it stands on the chain. `at` is its block's time."""

    event: Event
    log: Log
    at: datetime


class Mirror(Protocol):
    """What an application does with the events of one contract."""

    async def position(self, db: Read) -> Position | None:
        """The committed position; None before the first."""

    async def known_blocks(self, db: Read, upto: int, most: int) -> list[tuple[int, str]]:
        """Number and hash of the newest blocks at or below `upto` that it holds events of, newest first."""

    async def apply(self, db: Write, was: Position | None, seen: Sequence[Seen], now: Position) -> None:
        """Applies events and moves the cursor; raises `CursorMoved` when it is not at `was` any more."""

    async def undo(self, db: Write, was: Position, to: Position) -> None:
        """Takes back every event above `to` and moves the cursor there; raises `CursorMoved`."""


async def ahead(found: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same, with the next one on its way while this one is worked on."""
    coming = asyncio.ensure_future(anext(found, None))
    try:
        while (each := await coming) is not None:
            coming = asyncio.ensure_future(anext(found, None))
            yield each
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


class Indexer:
    """Follows the contract at `address` from block `first` on. `pause` is seconds between looks at the head.

    An endpoint that shows no new block for `stalled_after` seconds, or is behind what was read, gives way to the next.
    """

    def __init__(
        self,
        rpc: Rpc,
        database: Database,
        mirror: Mirror,
        contract: Contract,
        address: str,
        first: int,
        *,
        pause: float = 0.15,
        stalled_after: float = 30,
    ) -> None:
        self.rpc = rpc
        self.database = database
        self.mirror = mirror
        self.contract = contract
        self.address = address.lower()
        self.first = first
        self.pause = pause
        self.stalled_after = stalled_after
        self._moved_at = monotonic()
        self._trail: deque[Position] = deque(maxlen=TRAIL)

    async def run(self) -> None:
        """Follows for ever. A chain that does not answer, or another indexer at work, is waited for."""
        while True:
            try:
                moved = await self.step()
            except (ChainFailure, CursorMoved) as error:
                LOG.warning("%s: %s; trying again", self.address, error)
                await asyncio.sleep(max(self.pause, 1.0))
                continue
            if not moved:
                await asyncio.sleep(self.pause)

    async def catch_up(self) -> Position | None:
        """Follows until nothing is left to read; answers where that is."""
        while await self.step():
            pass
        async with self.database.read() as db:
            return await self.mirror.position(db)

    async def step(self) -> bool:
        """Reads up to the present head, or undoes a reorganisation; False when there was nothing to do."""
        async with self.database.read() as db:
            was = await self.mirror.position(db)
        async with self.rpc.pinned() as node:
            head = await node.block()
            if was is None:
                return await self._read(node, None, await self._before_first(node), head)
            if head.number < was.block:
                place, contradicted = await self._newest_agreed(node, head.number)
                if not contradicted:
                    node.rest()  # it merely lags behind the one that was asked before
                    return False
                await self._rewind(was, place)
                return True
            if (head.number, head.hash) == (was.block, was.hash):
                if monotonic() - self._moved_at > self.stalled_after:
                    node.rest()
                    self._moved_at = monotonic()
                return False
            if (await node.block(was.block)).hash == was.hash:
                return await self._read(node, was, was, head)
            place, _ = await self._newest_agreed(node, was.block - 1)
            await self._rewind(was, place)
            return True

    async def _read(self, node: Node, cursor: Position | None, was: Position, head: Block) -> bool:
        """Applies page after page up to the head, as long as the chain stays the one that the head belongs to."""
        if head.number <= was.block:
            return False
        reading = self._reading(node, was.block + 1, head.number)
        async with aclosing(reading), aclosing(ahead(reading)) as found:
            async for page, seen in found:
                # The head's hash covers every block below it: while it stands, all that was read is of one chain.
                near = range(max(page.first, head.number - NEAR + 1), page.last + 1)
                before, last, still, *newest = await node.blocks([was.block, page.last, head.number, *near])
                if before.hash != was.hash or still.hash != head.hash:
                    return True
                await self._check(node, page, newest)
                now = Position(last.number, last.hash, from_unix(last.timestamp))
                async with self.database.write() as db:
                    await self.mirror.apply(db, cursor, seen, now)
                self._trail.append(now)
                self._moved_at = monotonic()
                cursor = was = now
        return True

    async def _check(self, node: Node, page: Page, blocks: Sequence[Block]) -> None:
        """Raises BadAnswer where a page has logs of other blocks than these, or left out logs that these have."""
        held = {log.block_number: log.block_hash for log in page.logs}
        topics = list(self.contract.topics.values())
        for block in blocks:
            if held.get(block.number, block.hash) != block.hash:
                raise BadAnswer("the node", "eth_getLogs", f"logs of another block {block.number}")
            if block.number in held or not block.bloom or not may_hold(block.bloom, self.address, topics):
                continue
            # By its hash a node that does not have the block refuses, and that it answers with nothing means something.
            if await node.logs({"blockHash": block.hash, "address": self.address, "topics": [topics]}):
                raise BadAnswer("the node", "eth_getLogs", f"it left out logs of block {block.number}")

    async def _reading(self, node: Node, first: int, last: int) -> AsyncGenerator[tuple[Page, list[Seen]], None]:
        """The contract's pages with their events."""
        topics = [list(self.contract.topics.values())]
        async with aclosing(pages(node, self.address, topics, first, last)) as found:
            async for page in found:
                yield page, await self._decoded(node, page.logs)

    async def _decoded(self, node: Node, logs: Sequence[Log]) -> list[Seen]:
        """The logs as events with their blocks' times, which some nodes send along and others must be asked for."""
        missing = sorted({log.block_number for log in logs if log.timestamp is None})
        times = {block.number: block.timestamp for block in await node.blocks(missing)}
        seen = []
        for log in logs:
            event = self.contract.decode(log)
            if event is not None:
                unix = log.timestamp if log.timestamp is not None else times[log.block_number]
                seen.append(Seen(event, log, from_unix(unix)))
        return seen

    async def _before_first(self, node: Node) -> Position:
        """Where an indexer stands that has read nothing."""
        block = await node.block(self.first - 1)
        return Position(block.number, block.hash, from_unix(block.timestamp))

    async def _newest_agreed(self, node: Node, upto: int) -> tuple[Position, bool]:
        """The newest block at or below `upto` that both this node and we know, and whether a newer one is contradicted.

        Known are the positions of late and the blocks of every event that is mirrored; where none of them is on the
        chain any more, everything is read again.
        """
        known = {place.block: place.hash for place in self._trail if place.block <= upto}
        contradicted = False
        while True:
            async with self.database.read() as db:
                stored = await self.mirror.known_blocks(db, upto, CHECKED_AT_ONCE)
            known.update(stored)
            numbers = sorted(known, reverse=True)
            for block in await node.blocks(numbers):
                if block.hash == known[block.number]:
                    return Position(block.number, block.hash, from_unix(block.timestamp)), contradicted
                contradicted = True
            if len(stored) < CHECKED_AT_ONCE:
                return await self._before_first(node), contradicted
            upto, known = stored[-1][0] - 1, {}

    async def _rewind(self, was: Position, place: Position) -> None:
        """Undoes everything above the fork."""
        LOG.warning("%s: block %d was reorganised away; undoing down to %d", self.address, was.block, place.block)
        async with self.database.write() as db:
            await self.mirror.undo(db, was, place)
        while self._trail and self._trail[-1].block > place.block:
            self._trail.pop()
