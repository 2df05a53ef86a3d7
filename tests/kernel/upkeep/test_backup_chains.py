"""Which backups can be restored and must be kept, when some are damaged, orphans, or of a history that was left."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from obstore.store import LocalStore

from entrepot.kernel.upkeep.backup import work
from entrepot.kernel.upkeep.backup.model import Backup, BackupFailed, Cluster, Kind, Lsn, segment_name
from entrepot.kernel.upkeep.backup.place import NOTE, Place
from entrepot.kernel.upkeep.backup.prune import needed_from, prune
from entrepot.kernel.upkeep.backup.restore import choose, on_the_way, whole
from entrepot.kernel.upkeep.backup.wal import missing
from entrepot.kernel.values import new_id

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SIZE = 16 << 20
SERVER = Cluster(system="7", version=180000, segment_size=SIZE, superuser="p", libraries="", database="d")
WINDOW = timedelta(days=7)


def made(days: float, *, of: Backup | None = None, timeline: int = 1, segment: int = 1) -> Backup:
    """A backup that ended so many days ago; incremental where it is `of` another."""
    at, lsn = NOW - timedelta(days=days), str(Lsn(segment * SIZE + 40))
    kind, parent = (Kind.INCREMENTAL, of.id) if of else (Kind.FULL, None)
    return Backup(new_id(), kind, parent, SERVER, timeline, lsn, lsn, at, at, 1, 1, "", None)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(LocalStore(prefix=tmp_path), "7", {})


def noted(place: Place, *backups: Backup) -> list[Backup]:
    for each in backups:
        place.note(each)
    return place.backups()


def test_a_backup_whose_note_is_damaged_does_not_keep_the_others_from_being_used(place: Place) -> None:
    good, bad, newest = made(3), made(2), made(1)
    noted(place, good, bad, newest)
    place._put(f"backups/{bad.id}/{NOTE}", b"")
    assert place.backups() == [good, newest]
    assert work.sound(place) == [good, newest]
    assert [what for what, _ in work.faults(place)] == [
        f"backups/{bad.id}/{NOTE} was altered: Input data was truncated"
    ]


def test_a_backup_that_is_pruned_while_they_are_listed_is_not_missed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, newest = made(9), made(1)
    noted(place, old, newest)
    listed = place.names("backups")
    place.remove(f"backups/{old.id}/{NOTE}")
    monkeypatch.setattr(place, "names", lambda _below: listed)
    assert place.backups() == [newest]


def test_backups_of_a_history_that_was_left_twice_are_not_on_the_way(place: Place) -> None:
    """The server was restored to segment 5, worked on timeline 2, and was restored again, to segment 4."""
    first, left, again = made(9), made(3, timeline=2, segment=9), made(1, timeline=3, segment=6)
    there = noted(place, first, left, again)
    place.keep("wal/00000002.history.gz", f"1\t{Lsn(5 * SIZE)}\tbefore\n".encode())
    place.keep("wal/00000003.history.gz", f"1\t{Lsn(4 * SIZE)}\tbefore\n".encode())
    assert on_the_way(place, there) == [first, again]
    place.remove("wal/00000003.history.gz")
    assert on_the_way(place, there) == there, "a new timeline whose history is not archived yet is the server's"


def test_an_increment_without_its_full_backup_is_not_what_is_restored_nor_added_to(place: Place) -> None:
    lost, full = made(3), made(2)
    orphan = made(1, of=lost)
    there = noted(place, full, orphan)
    assert whole(there) == [full]
    assert choose(there, "")[0] == full
    assert work.sound(place) == [full]
    assert f"adds to {lost.id}, which is missing" in work.faults(place)[0][0]
    with pytest.raises(BackupFailed, match="there is no backup"):
        choose([orphan], "")


def test_a_proven_increment_without_its_full_backup_does_not_stop_pruning() -> None:
    fulls = [made(days) for days in range(20, 0, -1)]
    orphan = made(21, of=made(22))
    assert needed_from([orphan, *fulls], NOW, WINDOW, 7, orphan.id) == 0
    assert needed_from([orphan, *fulls], NOW, WINDOW, 7, None) == 14


def test_what_a_kept_increment_stands_on_is_kept(place: Place) -> None:
    """An increment of the older full backup may end after the newer one, when both are made at the same time."""
    base, newer = made(12), made(11.1)
    increment = made(11, of=base)
    fulls = [made(days / 2) for days in range(20, 0, -1)]
    there = noted(place, base, newer, increment, *fulls)
    assert prune(place, NOW, WINDOW, 7, increment.id).backups == ()
    assert place.backups() == there
    assert [each.id for each in place.backups()][:1] == [base.id]
    gone = prune(place, NOW, WINDOW, 7, None).backups
    assert set(gone) == {base.id, newer.id, increment.id, *(each.id for each in fulls[:6])}


def name(number: int, timeline: int = 1) -> str:
    return segment_name(timeline, number, SIZE)


def test_a_segment_that_was_never_finished_is_missing_where_later_ones_are_there() -> None:
    partial = f"{name(3)}.partial"
    assert missing([name(2), partial], 1, SIZE) is None
    assert missing([name(2), partial, name(4)], 1, SIZE) == name(3)[8:]
    assert missing([name(2), partial, f"{name(4)}.partial"], 1, SIZE) == name(3)[8:]
    assert missing([name(2), partial, name(3, timeline=2), name(4, timeline=2)], 1, SIZE) is None
    assert missing([name(2), f"{name(2)}.partial", partial, "00000002.history"], 1, SIZE) is None


def test_what_is_no_backup_in_the_folder_is_left_alone(place: Place) -> None:
    full = made(1)
    noted(place, full)
    place._put(f"backups/lost+found/{NOTE}", b"{}")
    assert place.backups() == [full]
    assert prune(place, NOW, WINDOW, 7, None).left_over == 0
    assert UUID(place.names("backups")[0].partition("/")[0]) == full.id
