"""A journal of what somebody did and heard in the chat, which outlives the process that carries them.

Every entry is one write at the end of a file, before or after the act. What was written survives SIGKILL, as the pages
are the kernel's; only the line that was being written may be torn, and is cut off by whoever comes next.
"""

import os
from collections.abc import Container
from pathlib import Path

import msgspec


class Entry(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A line."""


class Asked(Entry, frozen=True):
    """A message is about to be sent, for the first time. Sent again, it is this one."""

    id: str
    conversation: str
    ciphertext: str
    nonce: str


class Repeated(Entry, frozen=True):
    """It is about to be sent again."""

    id: str


class Answered(Entry, frozen=True):
    """It was acknowledged."""

    id: str
    conversation: str
    seq: int


class Refused(Entry, frozen=True):
    """It was not taken."""

    id: str
    status: int


class Heard(Entry, frozen=True):
    """A message or an event of a conversation came: from the stream, or, without a cursor, from the history."""

    conversation: str
    seq: int
    id: str
    sender: str
    ciphertext: str
    cursor: str


class Stands(Entry, frozen=True):
    """The stream is to be gone on with from that cursor; without one, by the last number of each conversation."""

    cursor: str


class Surprise(Entry, frozen=True):
    """What nobody should ever be told."""

    said: str


ENTRY: msgspec.json.Decoder[Asked | Repeated | Answered | Refused | Heard | Stands | Surprise] = msgspec.json.Decoder(
    Asked | Repeated | Answered | Refused | Heard | Stands | Surprise
)


class Journal:
    """One person's. Only the process that carries the person writes to it; whoever watches reads it."""

    def __init__(self, path: Path) -> None:
        self.path, self.cursor, self.repeated = path, "", 0
        self.asked, self.answered, self.refused = dict[str, Asked](), list[Answered](), dict[str, int]()
        self.heard, self.surprises = list[Heard](), list[str]()
        self._read = 0
        self._file: int | None = None

    @property
    def unanswered(self) -> list[Asked]:
        """What was to be sent, and nobody knows whether it was."""
        done = {each.id for each in self.answered} | self.refused.keys()
        return [each for each in self.asked.values() if each.id not in done]

    def has_written(self, share: int, places: Container[str]) -> bool:
        """Whether so many messages to these conversations were acknowledged."""
        return len(self.answered) >= share and sum(each.conversation in places for each in self.answered) >= share

    def catch_up(self) -> None:
        """Reads what was written since."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            lines, end, _ = file.read().rpartition(b"\n")
        for entry in ENTRY.decode_lines(lines):
            self._note(entry)
        self._read += len(lines) + len(end)

    def open(self) -> None:
        """Reads what is there, cuts off what is torn, and is ready to write."""
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self.catch_up()
        os.truncate(self._file, self._read)

    def write(self, entry: Entry) -> None:
        """At the end of it, whole before this comes back."""
        assert self._file is not None
        line = msgspec.json.encode(entry) + b"\n"
        assert os.write(self._file, line) == len(line)
        self._note(entry)

    def _note(self, entry: Entry) -> None:
        match entry:
            case Asked():
                self.asked[entry.id] = entry
            case Repeated():
                self.repeated += 1
            case Answered():
                self.answered.append(entry)
            case Refused():
                self.refused[entry.id] = entry.status
            case Heard():
                self.heard.append(entry)
                self.cursor = entry.cursor
            case Stands():
                self.cursor = entry.cursor
            case Surprise():
                self.surprises.append(entry.said)
