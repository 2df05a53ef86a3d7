"""The archive of the WAL never goes back: what lay in a spool, or is received again, replaces nothing that is newer."""

from pathlib import Path

import pytest
from obstore.store import LocalStore

from entrepot.kernel import clock
from entrepot.kernel.upkeep.backup.model import Cluster, Lsn, Position, segment_name
from entrepot.kernel.upkeep.backup.place import PARTIAL, Place, bytes_of
from entrepot.kernel.upkeep.backup.wal import Keeper

SIZE = 16 << 20
SERVER = Cluster(system="7", version=180000, segment_size=SIZE, superuser="p", libraries="", database="d")
NAME = segment_name(1, 3, SIZE)
OBJECT = f"wal/{NAME}{PARTIAL}.gz"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Into which another worker put a segment's beginning, and noted how far it came."""
    made = Place(LocalStore(prefix=tmp_path / "store", mkdir=True), "7", {})
    made.keep(OBJECT, b"much, by another worker")
    made.reach(Position(str(Lsn(3 * SIZE + 500)), clock.now()))
    return made


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


def kept(place: Place) -> bytes:
    return bytes_of(place.read(OBJECT))


def test_what_was_left_in_the_spool_long_ago_does_not_replace_what_is_newer(place: Place, spool: Path) -> None:
    (spool / f"{NAME}{PARTIAL}").write_bytes(b"little")
    Keeper(place, spool, SERVER).prepare()
    assert kept(place) == b"much, by another worker"
    assert list(spool.iterdir()) == []


def test_a_segment_that_is_received_again_replaces_the_old_once_it_has_as_much(place: Place, spool: Path) -> None:
    keeper = Keeper(place, spool, SERVER)
    keeper.prepare()
    for content, received, expected in (
        (b"little", None, b"much, by another worker"),
        (b"littler", 400, b"much, by another worker"),
        (b"as much", 500, b"as much"),
        (b"more than before", 700, b"more than before"),
    ):
        (spool / f"{NAME}{PARTIAL}").write_bytes(content)
        keeper.ship(None if received is None else Lsn(3 * SIZE + received))
        assert kept(place) == expected
    (spool / f"{NAME}{PARTIAL}").rename(spool / NAME)
    assert keeper.ship() == Lsn(4 * SIZE)
    assert place.segments() == [NAME]


def test_a_segment_of_another_timeline_is_archived_at_once(place: Place, spool: Path) -> None:
    """A new primary may begin before the place that the old one had come to."""
    keeper = Keeper(place, spool, SERVER)
    keeper.prepare()
    (spool / f"{segment_name(2, 3, SIZE)}{PARTIAL}").write_bytes(b"by the new primary")
    keeper.ship(Lsn(3 * SIZE + 20))
    assert f"{segment_name(2, 3, SIZE)}{PARTIAL}" in place.segments()


def test_a_position_that_cannot_be_read_does_not_keep_the_archive_from_going_on(tmp_path: Path, spool: Path) -> None:
    place = Place(LocalStore(prefix=tmp_path / "store", mkdir=True), "7", {})
    place._put("position.json.gz", b"nothing that opens")
    Keeper(place, spool, SERVER).prepare()
