"""SQL of users."""

from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet

OPEN = Query("""
    INSERT INTO chat.users (wallet_address, public_key) VALUES (:wallet, :public_key)
    ON CONFLICT (wallet_address) DO UPDATE SET public_key = coalesce(users.public_key, excluded.public_key)
    WHERE users.public_key IS NULL AND excluded.public_key IS NOT NULL
""")


async def open_user(db: Write, wallet: Wallet, public_key: PublicKey | None) -> None:
    """The user with that wallet is there; a public key that is there is not replaced."""
    await db.run(OPEN, wallet=wallet, public_key=public_key)
