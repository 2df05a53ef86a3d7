"""Attendance: an app is told which wallets have a stream open in this process, in an order that holds for each."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from entrepot.kernel.db.database import Database
from entrepot.kernel.wallet import Wallet

LOG = logging.getLogger("entrepot.live")
AT_ONCE = 8


class Attendance(Protocol):
    """What an app does with it. What fails is logged and ends no stream; `still` sets right what was missed."""

    async def came(self, database: Database, wallet: Wallet) -> None:
        """Its first stream has begun in this process."""

    async def went(self, database: Database, wallet: Wallet) -> None:
        """Its last stream in this process has ended; also where the server goes away, as far as there is time."""

    async def still(self, database: Database, wallets: Sequence[Wallet]) -> None:
        """With every beat: all who have a stream in this process."""


class Roll:
    """Who is there, for one kind of stream. What changes back before it was told is not told."""

    def __init__(self, attendance: Attendance, database: Database) -> None:
        self.attendance, self.database = attendance, database
        self._present: Counter[Wallet] = Counter()
        self._told: set[Wallet] = set()
        self._changed: dict[Wallet, None] = {}
        self._telling: asyncio.Task[None] | None = None

    def enter(self, wallet: Wallet) -> None:
        """One more stream of that wallet."""
        self._present[wallet] += 1
        self._look_at(wallet)

    def leave(self, wallet: Wallet) -> None:
        """One stream less."""
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
            await self.attendance.still(self.database, wallets)
        except Exception as error:  # noqa: BLE001 - whatever it is, the streams go on, and the next beat tells it anew
            LOG.warning("attendance was not noted: %s", error or type(error).__name__)

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
            if is_here:
                self._told.add(wallet)
                await self.attendance.came(self.database, wallet)
            else:
                self._told.discard(wallet)
                await self.attendance.went(self.database, wallet)
        except Exception as error:  # noqa: BLE001 - as above
            LOG.warning("attendance was not noted: %s", error or type(error).__name__)
