"""Whispers: what is said to whoever listens at this moment, in any process, and is never stored.

They travel by NOTIFY on a channel of their own, many in one, because each NOTIFY takes a lock of the whole server until
its transaction has committed. What cannot be sent, as when the database is away, is lost, which nobody is told.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Self

import asyncpg
import msgspec

from entrepot.kernel.db.database import Database
from entrepot.kernel.db.pool import GONE
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.values import ENCODER

LOG = logging.getLogger("entrepot.whispers")
CHANNEL = "entrepot_whispers"
SEND = f"""
    SELECT pg_notify('{CHANNEL}', told), set_config('synchronous_commit', 'off', true) FROM unnest($1::text[]) AS told
"""
GATHERED = 0.02  # seconds in which they are gathered
LONGEST = 7_900  # octets of one NOTIFY, of which PostgreSQL takes less than 8,000
MOST_WAITING = 2_000
PATIENCE = 2.0
AROUND = 64  # octets of a payload around its whispers


class Whisper(msgspec.Struct, frozen=True, array_like=True):
    """To whom, and the frame as it is sent."""

    topic: str
    frame: str
    also: str | None = None


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """What one NOTIFY carries. The number makes each another, as PostgreSQL sends equal ones of a transaction once."""

    process: str
    number: int
    whispers: list[Whisper]


PAYLOADS = msgspec.json.Decoder(Payload)
Hear = Callable[[Whisper], None]


class Whispers:
    """Those of one process. `heard_by` are called with each that is said here, at once, and with what others say."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.heard_by: list[Hear] = []
        self._process = secrets.token_hex(8)
        self._number = 0
        self._waiting: list[Whisper] = []
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=PATIENCE)
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    def say(self, topic: str, body: msgspec.Struct, also: str | None = None) -> None:
        """To whoever follows the topic, or the other one, now. The body has a `kind`; a longer one is told nobody."""
        whisper = Whisper(topic, ENCODER.encode(body).decode(), also)
        if size(whisper) > LONGEST - AROUND:
            LOG.warning("a whisper of %d octets was too long to be said", len(whisper.frame))
            return
        self._tell(whisper)
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(whisper)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    def hear(self, payload: str) -> None:
        """What came by NOTIFY; one's own is known already."""
        with suppress(msgspec.DecodeError):
            told = PAYLOADS.decode(payload)
            if told.process != self._process:
                for whisper in told.whispers:
                    self._tell(whisper)

    def _tell(self, whisper: Whisper) -> None:
        for hear in self.heard_by:
            hear(whisper)

    async def _send(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHERED)
            taken, self._waiting = self._waiting, []
            payloads = list(self._payloads(taken))
            with suppress(Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, *GONE):
                async with self.database.pool.lent() as connection:
                    await connection.execute(SEND, payloads, timeout=PATIENCE)

    def _payloads(self, whispers: list[Whisper]) -> Iterator[str]:
        """As many in each as it may hold."""
        part: list[Whisper] = []
        room = LONGEST - AROUND
        for whisper in whispers:
            if part and size(whisper) > room:
                yield self._payload(part)
                part, room = [], LONGEST - AROUND
            part.append(whisper)
            room -= size(whisper)
        yield self._payload(part)

    def _payload(self, part: list[Whisper]) -> str:
        self._number += 1
        return msgspec.json.encode(Payload(self._process, self._number, part)).decode()


def size(whisper: Whisper) -> int:
    """Octets that it takes of a payload, with its comma."""
    return len(msgspec.json.encode(whisper)) + 1
