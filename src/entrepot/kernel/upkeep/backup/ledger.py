"""SQL of the ledger: what was backed up, and what was proven by restoring it. Rows are added and never changed."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.upkeep.backup.model import Backup, Proof

ADD_BACKUP = Query("""
    INSERT INTO core.backups (id, kind, parent, system, timeline, start_lsn, end_lsn, began_at, ended_at, size, stored,
        sha256, sealed_with)
    VALUES (:id, :kind, :parent, :system, :timeline, :start_lsn, :end_lsn, :began_at, :ended_at, :size, :stored,
        :sha256, :sealed_with)
""")
ADD_PROOF = Query("""
    INSERT INTO core.backup_proofs (id, backup, kind, from_lsn, to_lsn, covers_until, verified_at, outcome, findings,
        tables, rows, seconds)
    VALUES (:id, :backup, :kind, :from_lsn, :to_lsn, :covers_until, :verified_at, :outcome, :findings,
        :tables, :rows, :seconds)
""")
PROOFS = Query("""
    SELECT DISTINCT ON (backup) backup, outcome, verified_at, covers_until FROM core.backup_proofs
    ORDER BY backup, verified_at DESC
""")
COVERS = Query("SELECT max(covers_until) FROM core.backup_proofs WHERE outcome = 'proven'")
LAST_FAILURE = Query("""
    SELECT findings FROM (SELECT * FROM core.backup_proofs ORDER BY verified_at DESC LIMIT 1) newest
    WHERE outcome = 'failed'
""")


class Verdict(msgspec.Struct, frozen=True):
    """The last verification of a backup."""

    backup: UUID
    outcome: str
    verified_at: datetime
    covers_until: datetime


async def add_backup(db: Write, backup: Backup) -> None:
    """Notes that it was made."""
    columns = ("id", "parent", "timeline", "start_lsn", "end_lsn", "began_at", "ended_at", "size", "stored")
    await db.run(
        ADD_BACKUP,
        **{name: getattr(backup, name) for name in columns},
        kind=backup.kind.value,
        system=backup.cluster.system,
        sha256=bytes.fromhex(backup.sha256),
        sealed_with=backup.key,
    )


async def add_proof(db: Write, proof: Proof) -> None:
    """Notes how a verification ended."""
    given = {name: getattr(proof, name) for name in Proof.__struct_fields__}
    seconds = Decimal(str(round(proof.seconds, 3)))
    await db.run(
        ADD_PROOF, **{**given, "findings": list(proof.findings), "outcome": proof.outcome.value, "seconds": seconds}
    )


async def verdicts(db: Read) -> list[Verdict]:
    """The last verification of every backup that had one."""
    return await db.all(Verdict, PROOFS)


async def covers_until(db: Read) -> datetime | None:
    """Up to when everything that was committed is in a proven backup."""
    moment: datetime | None = await db.value(COVERS)
    return moment


async def last_failure(db: Read) -> tuple[str, ...]:
    """What the last verification found wrong; nothing where it ended well or there was none."""
    return tuple(await db.value(LAST_FAILURE) or ())
