"""SQL of sending: the lock that orders a conversation, what must be known of a message, and the message itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.query import Query

# Each array is read by a SELECT of its own, so that PostgreSQL does not plan by how long it is: for a few messages it
# would plan anew every time, with all months in view, which takes longer than to do it.
#
# In the order of their ids, so that two batches never wait for each other in a circle.
LOCK = Query("""
    SELECT c.id, c.last_seq, c.roster, c.month, c.keeps_for, c.is_silent, c.first_id, c.second_id, now() AS now,
        (SELECT wallet_address FROM chat.users WHERE id = c.first_id) AS first_wallet,
        (SELECT wallet_address FROM chat.users WHERE id = c.second_id) AS second_wallet
    FROM chat.conversations c WHERE c.id = ANY((SELECT :ids::uuid[])::uuid[])
    ORDER BY c.id FOR NO KEY UPDATE
""")
# A statement of its own: it must see what was committed while the lock was waited for. OFFSET 0 keeps the planner from
# joining with all months: each id is looked for in its own.
FACTS = Query("""
    SELECT u.id AS sender_id, c.user_id IS NOT NULL AS is_member, m.seq, m.conversation_id, m.sender_id AS sent_by,
        m.timestamp
    FROM unnest((SELECT :wallets::text[]), (SELECT :conversations::uuid[]), (SELECT :messages::uuid[]))
        WITH ORDINALITY AS asked(wallet, conversation, message, n)
    LEFT JOIN chat.users u ON u.wallet_address = asked.wallet
    LEFT JOIN chat.cursors c ON c.conversation_id = asked.conversation AND c.user_id = u.id
    LEFT JOIN LATERAL (
        SELECT seq, conversation_id, sender_id, timestamp FROM chat.messages WHERE id = asked.message OFFSET 0
    ) m ON true
    ORDER BY asked.n
""")
ADD = Query("""
    INSERT INTO chat.messages
        (id, conversation_id, seq, sender_id, receiver_id, ciphertext, nonce, event, timestamp, expires_at)
    SELECT * FROM unnest(:ids::uuid[], :conversations::uuid[], :seqs::bigint[], :senders::bigint[],
        :receivers::bigint[], :ciphertexts::bytea[], :nonces::bytea[], :events::jsonb[], :times::timestamptz[],
        :expire::timestamptz[])
""")
MOVE = Query("""
    WITH moved AS (
        UPDATE chat.conversations c SET last_seq = g.seq, last_id = g.message, last_at = g.at, month = g.month,
            roster = g.roster
        FROM unnest((SELECT :ids::uuid[]), (SELECT :seqs::bigint[]), (SELECT :messages::uuid[]),
            (SELECT :times::timestamptz[]), (SELECT :months::date[]), (SELECT :rosters::bigint[]))
            AS g(id, seq, message, at, month, roster)
        WHERE c.id = g.id
    ), held AS MATERIALIZED (
        SELECT c.conversation_id, c.user_id, g.seq FROM chat.cursors c
        JOIN unnest((SELECT :places::uuid[]), (SELECT :senders::bigint[]), (SELECT :own_seqs::bigint[]))
            AS g(id, sender, seq) ON c.conversation_id = g.id AND c.user_id = g.sender
        ORDER BY c.conversation_id, c.user_id FOR NO KEY UPDATE OF c
    )
    UPDATE chat.cursors c SET read_seq = held.seq, delivered_seq = greatest(c.delivered_seq, held.seq),
        is_unsettled = true
    FROM held WHERE (c.conversation_id, c.user_id) = (held.conversation_id, held.user_id) AND c.read_seq < held.seq
""")
ENTER_MONTHS = Query("""
    INSERT INTO chat.conversation_months AS m (conversation_id, month, first_seq, last_seq)
    SELECT * FROM unnest(:ids::uuid[], :months::date[], :firsts::bigint[], :lasts::bigint[])
    ON CONFLICT (conversation_id, month) DO UPDATE
    SET first_seq = least(m.first_seq, excluded.first_seq), last_seq = greatest(m.last_seq, excluded.last_seq)
""")


class Locked(msgspec.Struct, frozen=True):
    """A conversation that nobody else changes until the transaction ends."""

    id: UUID
    last_seq: int
    roster: int
    month: date | None
    keeps_for: int | None
    is_silent: bool
    first_id: int | None
    second_id: int | None
    now: datetime
    first_wallet: str | None
    second_wallet: str | None

    def other(self, user: int) -> int | None:
        """The other of a pair; None in a group."""
        return self.second_id if self.first_id == user else self.first_id


class Facts(msgspec.Struct, frozen=True):
    """Who sends, whether into a conversation of theirs, and what is there by the message's id, if anything."""

    sender_id: int | None
    is_member: bool
    seq: int | None
    conversation_id: UUID | None
    sent_by: int | None
    timestamp: datetime | None


@dataclass(frozen=True)
class Row:
    """A message as it is added; `month` is that of its id."""

    id: UUID
    conversation_id: UUID
    seq: int
    sender_id: int
    receiver_id: int | None
    ciphertext: bytes | None
    nonce: bytes | None
    event: str | None
    timestamp: datetime
    expires_at: datetime | None
    month: date


@dataclass(frozen=True)
class Month:
    """From which number to which a conversation has messages in a month."""

    conversation_id: UUID
    month: date
    first_seq: int
    last_seq: int


async def lock(db: Write, ids: Iterable[UUID]) -> dict[UUID, Locked]:
    """The conversations that there are, by id."""
    found = await db.all(Locked, LOCK, ids=sorted(set(ids)))
    return {each.id: each for each in found}


async def facts(db: Write, asked: Sequence[tuple[str, UUID, UUID]]) -> list[Facts]:
    """For each wallet, conversation and message."""
    wallets, conversations, ids = ([each[place] for each in asked] for place in range(3))
    return await db.all(Facts, FACTS, wallets=wallets, conversations=conversations, messages=ids)


async def add(db: Write, rows: Sequence[Row]) -> None:
    """Adds them."""
    await db.run(
        ADD,
        ids=[row.id for row in rows],
        conversations=[row.conversation_id for row in rows],
        seqs=[row.seq for row in rows],
        senders=[row.sender_id for row in rows],
        receivers=[row.receiver_id for row in rows],
        ciphertexts=[row.ciphertext for row in rows],
        nonces=[row.nonce for row in rows],
        events=[row.event for row in rows],
        times=[row.timestamp for row in rows],
        expire=[row.expires_at for row in rows],
    )


async def move(db: Write, places: Sequence[tuple[Locked, Row, date, int]], own: dict[tuple[UUID, int], int]) -> None:
    """Each conversation's newest message, month and roster; and who writes has read, by conversation and user."""
    given: dict[str, Any] = {
        "ids": [place.id for place, _, _, _ in places],
        "seqs": [row.seq for _, row, _, _ in places],
        "messages": [row.id for _, row, _, _ in places],
        "times": [row.timestamp for _, row, _, _ in places],
        "months": [month for _, _, month, _ in places],
        "rosters": [roster for _, _, _, roster in places],
    }
    await db.run(
        MOVE,
        **given,
        places=[place for place, _ in own],
        senders=[sender for _, sender in own],
        own_seqs=list(own.values()),
    )


async def enter_months(db: Write, months: Sequence[Month]) -> None:
    """Notes in which months these conversations have messages."""
    if months:
        await db.run(
            ENTER_MONTHS,
            ids=[month.conversation_id for month in months],
            months=[month.month for month in months],
            firsts=[month.first_seq for month in months],
            lasts=[month.last_seq for month in months],
        )
