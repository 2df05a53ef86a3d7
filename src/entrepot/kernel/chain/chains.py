"""The chains that this house knows, each with its RPC client."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from entrepot.kernel.chain.rpc import Rpc
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.settings import ChainSettings


@dataclass(frozen=True)
class Chain:
    """One chain."""

    name: str
    id: int
    rpc: Rpc
    confirmations: int


class Chains:
    """All of them, by name. Opening connects to none: a chain that is down stops nobody who does not need it.

    `patience` is the seconds that a call of a chain may take with all its attempts; None where nobody waits for it.
    """

    def __init__(self, settings: Sequence[ChainSettings], *, patience: float | None = None) -> None:
        self.all = {
            one.name: Chain(
                one.name,
                one.chain_id,
                Rpc(one.endpoints, patience=patience, chain_id=one.chain_id),
                one.confirmations,
            )
            for one in settings
        }
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for chain in self.all.values():
            await self._stack.enter_async_context(chain.rpc)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    def named(self, name: str) -> Chain:
        """The chain of that name; refuses one that this market is not on."""
        if name not in self.all:
            raise Malformed("chain", f"must be one of: {', '.join(self.all) or 'none is configured'}")
        return self.all[name]

    def by_id(self, chain_id: int) -> Chain | None:
        """The chain with that id, if it is one of ours."""
        return next((chain for chain in self.all.values() if chain.id == chain_id), None)
