"""A journal is whole up to the instant of the kill, and is gone on with."""

import subprocess
import sys
from itertools import count
from pathlib import Path
from time import sleep

from tests.faults.chat_journal import Heard, Journal

WRITER = "import sys, pathlib; from tests.faults import test_chat_journal as t; t.write_on(pathlib.Path(sys.argv[1]))"


def heard(seq: int) -> Heard:
    return Heard("p", seq, f"p{seq}", "ann", "sealed", "cursor")


def write_on(path: Path) -> None:
    """What somebody does until they are killed."""
    journal = Journal(path)
    journal.open()
    for seq in count(len(journal.heard) + 1):
        journal.write(heard(seq))
        sleep(0.0001)


def test_who_is_killed_has_a_journal_without_a_gap_and_the_next_goes_on_from_it(tmp_path: Path) -> None:
    path, watched, kills = tmp_path / "journal", 0, 3
    path.touch()
    watcher = Journal(path)
    for _ in range(kills):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) as process:
            while len(watcher.heard) <= watched and process.poll() is None:
                watcher.catch_up()
                sleep(0.01)
            process.kill()
        watcher.catch_up()
        watched = len(watcher.heard)
    assert watcher.heard == [heard(seq) for seq in range(1, watched + 1)]
    assert watched > kills


def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first, second, third = heard(1), heard(2), heard(3)
    for torn, entry in ((b"", first), (b'["Heard","p",2,"p', second), (b"[", third)):
        with path.open("ab") as file:
            file.write(torn)
        journal = Journal(path)
        journal.open()
        journal.write(entry)
    watcher = Journal(path)
    watcher.catch_up()
    assert watcher.heard == [first, second, third]
