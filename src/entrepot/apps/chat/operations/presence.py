"""Who is there: told to whom they write with, and known to every server process."""

from collections.abc import Sequence

from entrepot.apps.chat.calls.live import Presence
from entrepot.apps.chat.operations.topics import of_wallet
from entrepot.apps.chat.store import presence as store
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.whispers import Whispers

MOST_TOLD = 200
"""Of those one writes with, the latest, who hear that one has come or gone."""


class Present:
    """Who is there in this process."""

    def __init__(self) -> None:
        self.process = new_id()

    async def came(self, database: Database, whispers: Whispers, wallet: Wallet) -> None:
        """Their first stream: whoever is there of those they write with is told, unless they were there before."""
        async with database.write() as db:
            is_new = await store.enter(db, self.process, [wallet])
            peers = await store.peers(db, wallet, MOST_TOLD) if is_new else []
        self._tell(whispers, peers, Presence(wallet=wallet, is_online=True))

    async def went(self, database: Database, whispers: Whispers, wallet: Wallet) -> None:
        """Their last stream of this process: they may be at another one still."""
        async with database.write() as db:
            is_gone = await store.leave(db, self.process, wallet)
            peers = await store.peers(db, wallet, MOST_TOLD) if is_gone else []
        self._tell(whispers, peers, Presence(wallet=wallet, is_online=False))

    async def still(self, database: Database, wallets: Sequence[Wallet]) -> None:
        """They are all there still."""
        async with database.write() as db:
            await store.enter(db, self.process, wallets)

    def _tell(self, whispers: Whispers, peers: Sequence[Wallet], told: Presence) -> None:
        for peer in peers:
            whispers.say(of_wallet(peer), told)


async def forget_stale(db: Write) -> None:
    """Removes the rows of processes that were killed."""
    await store.forget(db)
