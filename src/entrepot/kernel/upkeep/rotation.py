"""Rotation of the vault's keys: what an older key sealed is sealed again by the newest."""

from collections import Counter
from collections.abc import Mapping

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.vault import Vault, key_of

SEALED = Query("SELECT name, sealed FROM core.secrets ORDER BY name")
HOLD = Query("SELECT name, sealed FROM core.secrets ORDER BY name FOR UPDATE")
SEAL_AGAIN = Query("UPDATE core.secrets SET sealed = :sealed WHERE name = :name")


async def keys_in_use(db: Read) -> Mapping[str, int]:
    """How many secrets each key has sealed, by its id; a key that is not among them may be thrown away."""
    return Counter(key_of(sealed) for _, sealed in await db.rows(SEALED))


async def rotate(db: Write, vault: Vault) -> list[str]:
    """Seals again what is not sealed by the vault's newest key; the names of those secrets.

    Raises `CannotUnseal` where the vault lacks the key of one of them; then none is changed.
    """
    stale = [(name, sealed) for name, sealed in await db.rows(HOLD) if vault.is_stale(sealed)]
    for name, sealed in stale:
        await db.run(SEAL_AGAIN, name=name, sealed=vault.seal(vault.unseal(sealed, name), name))
    return [name for name, _ in stale]
