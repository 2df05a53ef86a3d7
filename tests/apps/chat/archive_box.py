"""Two years of messages, put where they would lie if they had been sent then."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from entrepot.apps.chat.app import APP
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.upkeep import partitions
from entrepot.kernel.values import new_id
from tests.apps.chat.conftest import Caller

MESSAGES = APP.partitions["messages"]
ID = """(left(core.least_id(at)::text, 14) || '7' || left(noise, 3) || '-8' || substr(noise, 4, 3) || '-'
    || substr(noise, 7, 12))::uuid"""
PAIR = """
    INSERT INTO chat.conversations (id, first_id, second_id)
    SELECT $1, min(id), max(id) FROM chat.users WHERE wallet_address IN ($2, $3)
"""
CURSORS = """
    INSERT INTO chat.cursors (conversation_id, user_id)
    SELECT c.id, u FROM chat.conversations c, unnest(ARRAY[first_id, second_id]) u WHERE c.id = $1
"""
FILL = f"""
    INSERT INTO chat.messages (id, conversation_id, seq, sender_id, receiver_id, ciphertext, nonce, timestamp)
    SELECT {ID}, c.id, n, CASE WHEN n % 3 = 0 THEN first_id ELSE second_id END,
        CASE WHEN n % 3 = 0 THEN second_id ELSE first_id END, decode(noise, 'hex'), decode(left(noise, 48), 'hex'), at
    FROM chat.conversations c, generate_series(1, $2::bigint) n, LATERAL (
        SELECT $3::timestamptz + ($4::timestamptz - $3) * (n - 1) / $2 AS at,
            md5(c.id || '-' || n) || md5('' || n) AS noise
    ) made WHERE c.id = $1
"""
MONTHS = """
    INSERT INTO chat.conversation_months (conversation_id, month, first_seq, last_seq)
    SELECT conversation_id, date_trunc('month', timestamp, 'UTC') AT TIME ZONE 'UTC', min(seq), max(seq)
    FROM chat.messages WHERE conversation_id = $1 GROUP BY 1, 2
"""
LAST = """
    UPDATE chat.conversations c SET last_seq = m.seq, last_id = m.id, last_at = m.timestamp,
        month = date_trunc('month', m.timestamp, 'UTC') AT TIME ZONE 'UTC'
    FROM chat.messages m WHERE c.id = $1 AND m.conversation_id = c.id AND m.seq = $2
"""


@dataclass
class ArchiveBox:
    """The owner's connection and the server's database."""

    owner: asyncpg.Connection
    doors: Database

    async def months(self, first: datetime, last: datetime) -> None:
        """Partitions for messages of these times."""
        async with self.doors.write() as db:
            await partitions.cover(db, APP, MESSAGES, first, last)

    async def pair(self, one: Caller, other: Caller) -> UUID:
        """A conversation of these two without a message."""
        pair = new_id()
        await self.owner.execute(PAIR, pair, one.wallet, other.wallet)
        await self.owner.execute(CURSORS, pair)
        return pair

    async def talk(self, one: Caller, other: Caller, count: int, first: datetime, last: datetime) -> str:
        """So many messages of these two, evenly from one moment to the other; answers the conversation's id."""
        pair = await self.pair(one, other)
        await self.owner.execute(FILL, pair, count, first, last)
        await self.owner.execute(MONTHS, pair)
        await self.owner.execute(LAST, pair, count)
        return str(pair)

    async def broken(self) -> dict[str, Any]:
        """The invariants that do not hold, with their rows."""
        found = {name: await self.owner.fetch(statement) for name, statement in APP.invariants.items()}
        return {name: rows for name, rows in found.items() if rows}

    async def read_months(self, query: Query, mode: str, **given: Any) -> set[str]:
        """The partitions of messages that the statement really looks into, planned for these values or for any."""
        async with self.owner.transaction():
            await self.owner.execute(f"SET LOCAL plan_cache_mode = {mode}")
            await self.owner.execute(f"PREPARE looked AS {query.sql}")
            values = ", ".join(map(literal, query.bind(given)))
            plan = await self.owner.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE looked ({values})")
            await self.owner.execute("DEALLOCATE looked")
        return set(scanned(json.loads(plan)[0]["Plan"]))


async def pages(by: Caller, conversation: str, cursor: str, limit: int) -> list[list[int]]:
    """The numbers of each page that somebody turns, until one is the last."""
    found = list[list[int]]()
    after: str | None = cursor
    while after is not None:
        page = (await by.get(f"conversations/{conversation}/messages", cursor=after, limit=limit)).body
        found.append([item["seq"] for item in page["items"]])
        after = page["next_cursor"]
    return found


def literal(value: Any) -> str:
    """As SQL has it."""
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value).lower()
        case list():
            return f"ARRAY[{', '.join(map(literal, value))}]"
        case UUID():
            return f"'{value}'::uuid"
        case _:
            return f"'{value}'"


def scanned(node: dict[str, Any]) -> list[str]:
    """The partitions that a plan's node, and all below it, have read."""
    own = [node["Relation Name"]] if node.get("Relation Name", "").startswith("messages_") else []
    below = [name for each in node.get("Plans", ()) for name in scanned(each)]
    return [*(own if node["Actual Loops"] else []), *below]


def partition(at: date) -> str:
    """The name of the month that a moment lies in."""
    return f"messages_{at:%Y_%m}"


def id_of(at: datetime, number: int) -> UUID:
    """An id of version 7 that was made then."""
    return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | number)


def month(back: int, now: datetime) -> datetime:
    """The middle of the month that lies so many months back. UTC."""
    years, which = divmod(now.year * 12 + now.month - 1 - back, 12)
    return datetime(years, which + 1, 15, tzinfo=UTC)


DAY = timedelta(days=1)
