"""The keys that this server signs with, sealed in the database."""

from typing import TYPE_CHECKING

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.deferred import by_name
from entrepot.kernel.vault import Vault

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

ACCOUNT = by_name("eth_account:Account.from_key")
"""Imported when there is something to sign: eth-account brings key files and pairings along, 0.4 s of CPU in each
process, and hardly any of them signs."""
FIND = Query("SELECT sealed FROM core.secrets WHERE name = :name")
KEEP = Query("""
    INSERT INTO core.secrets (name, sealed) VALUES (:name, :sealed)
    ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed
""")


async def find_key(db: Read, vault: Vault, name: str) -> "LocalAccount | None":
    """The account of that name; None where none was kept. Raises `CannotUnseal`."""
    sealed: bytes | None = await db.value(FIND, name=name)
    if sealed is None:
        return None
    account: LocalAccount = ACCOUNT(vault.unseal(sealed, name))
    return account


async def keep_key(db: Write, vault: Vault, name: str, account: "LocalAccount") -> None:
    """Seals a key under that name, in place of the one that was there."""
    await db.run(KEEP, name=name, sealed=vault.seal(bytes(account.key), name))
