"""Attendance: an app is told which wallets have a stream open in this process, in an order that holds for each."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from entrepot.kernel.supply import Resources, supply, wants
from entrepot.kernel.wallet import Wallet

LOG = logging.getLogger("entrepot.live")
AT_ONCE = 8
PATIENCE = 5.0  # seconds for each of them, so that none keeps the others from being told


Told = Callable[..., Awaitable[None]]


class Attendance(Protocol):
    """What an app does with it. What fails is logged and ends no stream; `still` sets right what was missed.

    Each takes the `database`, and names by type what else of the house it needs, as an operation does.
    """

    @property
    def came(self) -> Told:
        """The first stream of a `wallet` has begun in this process."""

    @property
    def went(self) -> Told:
        """The last stream of a `wallet` in this process has ended, be it that the server goes away."""

    @property
    def still(self) -> Told:
        """With every beat: the `wallets` that have a stream in this process."""


class Roll:
    """Who is there, for one kind of stream. What changes back before it was told is not told."""

    def __init__(self, attendance: Attendance, resources: Resources) -> None:
        self._came, self._went, self._still = [
            _bound(told, named, resources)
            for told, named in ((attendance.came, "wallet"), (attendance.went, "wallet"), (attendance.still, "wallets"))
        ]
        self._present: Counter[Wallet] = Counter()
        self._told: set[Wallet] = set()
        self._changed: dict[Wallet, None] = {}
        self._telling: asyncio.Task[None] | None = None

    @contextmanager
    def attended(self, wallet: Wallet) -> Iterator[None]:
        """One more stream of that wallet, for as long as it lasts."""
        self._present[wallet] += 1
        self._look_at(wallet)
        try:
            yield
        finally:
            self._present[wallet] -= 1
            if not self._present[wallet]:
                del self._present[wallet]
            self._look_at(wallet)

    async def beat(self) -> None:
        """Tells who is there."""
        wallets = list(self._present)
        if not wallets:
            return
        try:
            await self._still(wallets=wallets)
        except Exception as error:  # noqa: BLE001 - whatever it is, the streams go on, and the next beat tells it anew
            LOG.warning("attendance was not noted: %s", str(error) or type(error).__name__)

    async def settle(self) -> None:
        """Waits until everything is told."""
        if self._telling is not None:
            await asyncio.wait([self._telling])

    def close(self) -> None:
        """Tells no more."""
        if self._telling is not None:
            self._telling.cancel()

    def _look_at(self, wallet: Wallet) -> None:
        self._changed[wallet] = None
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while self._changed:
            some = list(self._changed)[:AT_ONCE]
            for wallet in some:
                del self._changed[wallet]
            await asyncio.gather(*(self._tell_of(wallet) for wallet in some))

    async def _tell_of(self, wallet: Wallet) -> None:
        is_here = wallet in self._present
        if is_here == (wallet in self._told):
            return
        try:
            async with asyncio.timeout(PATIENCE):
                if is_here:
                    self._told.add(wallet)
                    await self._came(wallet=wallet)
                else:
                    self._told.discard(wallet)
                    await self._went(wallet=wallet)
        except Exception as error:  # noqa: BLE001 - as above
            LOG.warning("attendance was not noted: %s", str(error) or type(error).__name__)


def _bound(told: Told, named: str, resources: Resources) -> Told:
    """With all that it needs of the house; raises `NotInHouse`."""
    wanted = {name: kind for name, kind in wants(told).items() if name != named}
    return partial(told, **supply(wanted, resources))
