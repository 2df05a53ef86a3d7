"""Users: who signs in is one."""

from entrepot.apps.chat.store import users as store
from entrepot.kernel.db.doors import Write
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet


async def on_sign_in(db: Write, wallet: Wallet, public_key: PublicKey | None) -> None:
    """Makes the user of a wallet that comes for the first time.

    A key that is there is not replaced: that takes a command of its own, so that nobody who only gets a wallet to
    sign in can read what is sealed for it from then on.
    """
    await store.open_user(db, wallet, public_key)
