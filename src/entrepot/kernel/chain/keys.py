"""The keys that this server signs with, sealed in the database."""

from eth_account import Account
from eth_account.signers.local import LocalAccount

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.vault import Vault

FIND = Query("SELECT sealed FROM core.secrets WHERE name = :name")
KEEP = Query("""
    INSERT INTO core.secrets (name, sealed) VALUES (:name, :sealed)
    ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed
""")


async def find_key(db: Read, vault: Vault, name: str) -> LocalAccount | None:
    """The account of that name; None where none was kept. Raises `CannotUnseal`."""
    sealed: bytes | None = await db.value(FIND, name=name)
    if sealed is None:
        return None
    account: LocalAccount = Account.from_key(vault.unseal(sealed, name))
    return account


async def keep_key(db: Write, vault: Vault, name: str, account: LocalAccount) -> None:
    """Seals a key under that name, in place of the one that was there."""
    await db.run(KEEP, name=name, sealed=vault.seal(bytes(account.key), name))
