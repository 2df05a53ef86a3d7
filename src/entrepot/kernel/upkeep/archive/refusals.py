"""Every refusal of archives and retention."""

from uuid import UUID

from entrepot.kernel.refusal import Conflict, NotFound


class NoSuchArchive(NotFound):
    """There is no archive {archive}."""

    archive: UUID


class NotRemoved(Conflict):
    """This archive is {state}: only rows that have left the database can be brought back into their table."""

    state: str


class NotTheArchive(Conflict):
    """What lies in the store is not what the ledger says of this archive: {reason}"""

    reason: str


class RetentionRunning(Conflict):
    """A retention run is at work already; it needs no second one."""
