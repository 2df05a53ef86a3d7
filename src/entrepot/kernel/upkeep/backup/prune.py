"""What is no longer needed leaves the place: never anything that a moment within the window is restored from."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from entrepot.kernel import clock
from entrepot.kernel.upkeep.backup.model import Backup, Kind, segment_number
from entrepot.kernel.upkeep.backup.place import NOTE, VOUCHER, Place, identity_of

ABANDONED = timedelta(days=7)
"""No backup takes so long: what was begun before then and is not whole was cut off."""


class Pruned(msgspec.Struct, frozen=True):
    """What was removed."""

    backups: tuple[UUID, ...]
    segments: int
    left_over: int
    """Files of backups that were cut off."""


def needed_from(there: Sequence[Backup], now: datetime, window: timedelta, dailies: int, proven: UUID | None) -> int:
    """Which of them, oldest first, is the first that is kept.

    It is the newest full one that the beginning of the window can be restored from, or an earlier one where fewer than
    `dailies` full ones would be kept, or where the newest proven backup, or another that is kept, stands on one.
    """
    place = {backup.id: index for index, backup in enumerate(there)}
    full = [index for index, backup in enumerate(there) if backup.kind is Kind.FULL]
    before = [index for index in full if there[index].ended_at <= now - window]
    if not before or len(full) < dailies:
        return 0
    first = min(before[-1], full[-dailies], *(index for of, index in place.items() if of == proven))
    # An increment may have ended after a full backup that it does not stand on. One whose parent is lost stands alone.
    while (under := min(place.get(each.parent or each.id, first) for each in there[first:])) < first:
        first = under
    return first


def left_over(place: Place, until: datetime) -> list[str]:
    """What lies there of backups that were begun by then and never became whole."""
    names = place.names("backups")
    whole = {identity_of(name) for name in names if name.endswith(f"/{NOTE}")}
    found = {name: of for name in names if (of := identity_of(name)) is not None}
    return [f"backups/{name}" for name, of in found.items() if of not in whole and begun(of) <= until]


def begun(backup: UUID) -> datetime:
    """When its id was made, which that says itself (version 7)."""
    return clock.from_unix((backup.int >> 80) // 1000)


def prune(place: Place, now: datetime, window: timedelta, dailies: int, proven: UUID | None) -> Pruned:
    """Removes what no moment of the window needs; `proven` is the newest proven backup. Interrupted, it goes on."""
    remains = left_over(place, now - ABANDONED)
    for name in remains:
        place.remove(name)
    count = len(remains) + place.remove_cut_off(now - ABANDONED)
    there = place.backups()
    if not there:
        return Pruned((), 0, count)
    first = needed_from(there, now, window, dailies, proven)
    gone = there[:first]
    for backup in gone:
        # First what makes it a backup: what is left of one that was begun is none.
        for name in (NOTE, VOUCHER, "base.tar.gz", "manifest.gz"):
            place.remove(f"backups/{backup.id}/{name}")
    oldest = min(backup.first_segment for backup in there[first:])
    size = there[-1].cluster.segment_size
    old = [name for name in place.segments() if not name.endswith(".history") and segment_number(name, size) < oldest]
    for name in old:
        place.remove(f"wal/{name}.gz")
    return Pruned(tuple(backup.id for backup in gone), len(old), count)
