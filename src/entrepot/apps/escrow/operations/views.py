"""Both sides of a comparison at one block: what the mirror says, and the contract's own views at the same block."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.chain.rpc import ChainFailure, RpcError
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Read

TRIES, PAUSE = 5, 1.0
"""How often, and in seconds how far apart, a block is asked for that the node does not have (any more)."""
Call = tuple[str, tuple[object, ...]]
"""A view of the contract, and its arguments."""
T = TypeVar("T", bound="AtBlock")


class NotMirrored(Exception):
    """The contract is there, and nothing of it has been mirrored."""


class BlockGone(ChainFailure):
    """The node does not answer for the block that the mirror has reached."""

    def __init__(self, block: int, why: RpcError) -> None:
        super().__init__(f"the node has not the state of block {block}, which the mirror has reached ({why})")


class AtBlock(Protocol):
    """Something that the mirror says, and the block that it had reached."""

    @property
    def block(self) -> int: ...
    @property
    def hash(self) -> str: ...


@dataclass(frozen=True)
class Views:
    """One contract of ours, and the database that mirrors it."""

    database: Database
    chain: Chain
    contract: Deployed
    abi: Contract

    async def both(
        self, read: Callable[[Read], Awaitable[T | None]], calls: Callable[[T], Sequence[Call]]
    ) -> tuple[T, list[Any]]:
        """What the mirror says, and the contract at the same block. All that `read` reads is of one moment.

        Where the node does not have that block, it lags behind or the chain was reorganised: both take a moment, and
        then the mirror is read again. Raises `NotMirrored` and `ChainFailure`.
        """
        tries = TRIES
        while True:
            async with self.database.snapshot() as db:
                ours = await read(db)
            if ours is None:
                raise NotMirrored
            try:
                return ours, await self._ask(ours.hash, calls(ours))
            except RpcError as refused:
                tries -= 1
                if not tries:
                    raise BlockGone(ours.block, refused) from None
            await asyncio.sleep(PAUSE)

    async def now(self, view: str) -> Any:
        """What a view answers that never changes."""
        answer = await self.chain.rpc.call_contract(self.contract.address, self.abi.encode_call(view))
        return self.abi.decode_result(view, answer)

    async def _ask(self, block: str, calls: Sequence[Call]) -> list[Any]:
        """The contract's views at that block; raises RpcError where the node does not have it."""
        asked = [
            {"to": self.contract.address, "data": "0x" + self.abi.encode_call(name, *arguments).hex()}
            for name, arguments in calls
        ]
        answers = await self.chain.rpc.batch([("eth_call", (one, {"blockHash": block})) for one in asked], type=str)
        return [
            self.abi.decode_result(name, bytes.fromhex(answer[2:]))
            for (name, _), answer in zip(calls, answers, strict=True)
        ]
