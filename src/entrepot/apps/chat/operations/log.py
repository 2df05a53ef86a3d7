"""The log of a conversation: messages and events, numbered under its lock. Whatever is said goes through here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from entrepot.apps.chat.store import sending as store
from entrepot.apps.chat.store.sending import Locked, Month, Row
from entrepot.kernel.db.doors import Write
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import ENCODER

EARLIEST, LATEST = timedelta(days=1), timedelta(minutes=5)
"""How old an id may be when its message comes for the first time, and how far ahead its maker's clock."""


def refused_id(message: UUID, now: datetime) -> Malformed | None:
    """Why no message may come with that id for the first time, if so."""
    earliest, latest = (now - EARLIEST).timestamp(), (now + LATEST).timestamp()
    if message.version == 7 and earliest <= _made_at(message) <= latest:
        return None
    return Malformed("message_id", "must be a UUID of version 7 that was made within the last day")


def month_of(message: UUID) -> date:
    """The month of messages that an id lies in."""
    return datetime.fromtimestamp(_made_at(message), UTC).date().replace(day=1)


def _made_at(message: UUID) -> float:
    """The Unix time of an id of version 7, as its maker says (RFC 9562): it may be one that no datetime can hold."""
    return (message.int >> 80) / 1000


@dataclass
class Log:
    """The conversations that a transaction has locked, and what it adds to them."""

    places: Mapping[UUID, Locked]
    rows: list[Row] = field(default_factory=list)
    _last: dict[UUID, Row] = field(default_factory=dict)
    _rosters: dict[UUID, int] = field(default_factory=dict)

    def add(
        self,
        place: Locked,
        message: UUID,
        sender: int,
        *,
        ciphertext: bytes | None = None,
        nonce: bytes | None = None,
        event: msgspec.Struct | None = None,
    ) -> Row:
        """The next message, or event, of a conversation."""
        before = self._last.get(place.id)
        row = Row(
            id=message,
            conversation_id=place.id,
            seq=(place.last_seq if before is None else before.seq) + 1,
            sender_id=sender,
            receiver_id=place.other(sender),
            ciphertext=ciphertext,
            nonce=nonce,
            event=None if event is None else ENCODER.encode(event).decode(),
            timestamp=place.now,
            expires_at=None if place.keeps_for is None else place.now + timedelta(seconds=place.keeps_for),
            month=month_of(message),
        )
        self.rows.append(row)
        self._last[place.id] = row
        return row

    def change_roster(self, place: Locked) -> int:
        """Who is in it, or with which devices, is not as it was; answers the number from now on."""
        self._rosters[place.id] = self._rosters.get(place.id, place.roster) + 1
        return self._rosters[place.id]

    async def write(self, db: Write) -> None:
        """Writes all that was added."""
        if not self.rows:
            return
        await store.add(db, self.rows)
        newest, months = self._months()
        own = {(row.conversation_id, row.sender_id): row.seq for row in self.rows}
        moved = [
            (place := self.places[each], row, newest[each], self._rosters.get(each, place.roster))
            for each, row in self._last.items()
        ]
        await store.move(db, moved, own)
        await store.enter_months(db, months)

    def _months(self) -> tuple[dict[UUID, date], list[Month]]:
        """The month that each conversation is in now, and what is to be noted of the months that it was in."""
        newest: dict[UUID, date] = {}
        entries: dict[tuple[UUID, date], Month] = {}
        for row in self.rows:
            place = self.places[row.conversation_id]
            now = newest.get(place.id, place.month)
            if now == row.month:
                newest[place.id] = now
                continue
            if now is not None and row.seq > 1:
                _note(entries, Month(place.id, now, row.seq - 1, row.seq - 1))
            _note(entries, Month(place.id, row.month, row.seq, row.seq))
            newest[place.id] = row.month if now is None else max(now, row.month)
        return newest, list(entries.values())


def _note(entries: dict[tuple[UUID, date], Month], new: Month) -> None:
    old = entries.get((new.conversation_id, new.month), new)
    first, last = min(old.first_seq, new.first_seq), max(old.last_seq, new.last_seq)
    entries[new.conversation_id, new.month] = Month(new.conversation_id, new.month, first, last)
