"""The chain of evidence: what must be proven before rows may leave the database."""

from datetime import datetime

from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query

COVERED = Query("SELECT EXISTS (SELECT FROM core.backup_proofs WHERE outcome = 'proven' AND covers_until >= :until)")


async def covered(db: Read, until: datetime) -> bool:
    """Whether a backup was restored, and found equal, that holds everything committed up to that moment."""
    return bool(await db.value(COVERED, until=until))
