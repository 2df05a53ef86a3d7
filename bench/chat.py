"""Chat on a table of ten million messages: sends, delivery, groups and reads, and Synapse beside it."""

import asyncio
import base64
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import uvloop

from bench import chat_data, chat_grouping, chat_load, chat_queries, processes, server
from bench.chat_load import Plan
from bench.chat_wire import PLACE, Talker
from bench.peers import synapse
from bench.processes import Command, Running, free_port
from entrepot.dev import postgres

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
SETTINGS = {
    **postgres.SETTINGS,
    "shared_buffers": "2GB",
    "effective_cache_size": "12GB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "log_min_duration_statement": "-1",
}
OCTETS, LINES, IN_FLIGHT = 512, 200, 8
BUSY = """
SELECT c.id, c.roster, a.wallet_address AS first, b.wallet_address AS second FROM bench.talk t
JOIN chat.conversations c ON c.id = t.id JOIN chat.users a ON a.id = c.first_id JOIN chat.users b ON b.id = c.second_id
WHERE NOT c.is_silent ORDER BY md5(t.n::text) LIMIT 2000
"""
CROWD = """
SELECT c.id, c.roster, array_agg(u.wallet_address) AS wallets FROM bench.talk t JOIN chat.conversations c ON c.id = t.id
JOIN chat.group_members m ON m.group_id = c.id JOIN chat.users u ON u.id = m.user_id WHERE t.n = 1 GROUP BY 1, 2
"""
COUNTED = """
SELECT (SELECT sum(c.reltuples)::bigint FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'chat.messages'::regclass) AS messages,
    (SELECT count(*) FROM pg_inherits WHERE inhparent = 'chat.messages'::regclass) AS partitions,
    (SELECT count(*) FROM chat.users) AS users, (SELECT count(*) FROM chat.conversations) AS conversations,
    pg_database_size(current_database()) AS octets, current_setting('server_version') AS postgresql
"""
SIGN_IN = """
INSERT INTO core.sessions (token_hash, wallet, expires_at)
SELECT hash, wallet, now() + interval '1 day' FROM unnest($1::bytea[], $2::text[]) AS given(hash, wallet)
"""


@dataclass(frozen=True)
class Pair:
    """A conversation of two who are signed in."""

    id: str
    roster: int
    tokens: tuple[str, str]


@dataclass(frozen=True)
class Crowd:
    """A group whose members are all signed in."""

    id: str
    roster: int
    tokens: Sequence[str]


async def signed_in(db: asyncpg.Connection, wallets: Sequence[str]) -> list[str]:
    """A token for each."""
    tokens = [secrets.token_urlsafe(32) for _ in wallets]
    await db.execute(SIGN_IN, [hashlib.sha256(each.encode()).digest() for each in tokens], wallets)
    return tokens


async def people(dsn: str) -> tuple[list[Pair], Crowd]:
    """Pairs of whom nobody is in two, drawn from all; and the largest group."""
    db = await asyncpg.connect(dsn)
    await db.execute("DELETE FROM core.sessions")
    pairs, seen = list[Pair](), set[str]()
    for row in await db.fetch(BUSY):
        if len(pairs) < LINES // 2 and not seen & {row["first"], row["second"]}:
            seen |= {row["first"], row["second"]}
            first, second = await signed_in(db, [row["first"], row["second"]])
            pairs.append(Pair(str(row["id"]), row["roster"], (first, second)))
    (group,) = await db.fetch(CROWD)
    crowd = Crowd(str(group["id"]), group["roster"], await signed_in(db, group["wallets"]))
    await db.close()
    return pairs, crowd


def envelope(roster: int) -> str:
    """What one sends, but for the conversation."""
    text, nonce = (base64.b64encode(os.urandom(octets)).decode() for octets in (OCTETS, 24))
    return f'"message_id":"{PLACE.decode()}","ciphertext":"{text}","nonce":"{nonce}","roster":{roster}'


def over_stream(token: str, conversation: str, roster: int) -> Talker:
    """Says it by a call over the stream."""
    said = f'{{"call":"send","ref":"{PLACE.decode()}","ask":{{"id":"{conversation}",{envelope(roster)}}}}}'
    return Talker(token, "/api/v1/chat/stream", said)


def by_request(token: str, conversation: str, roster: int) -> Talker:
    """Says it by a request of its own."""
    return Talker(token, f"/api/v1/chat/conversations/{conversation}/messages", f"{{{envelope(roster)}}}")


def talkers(pairs: Sequence[Pair], say: Callable[[str, str, int], Talker]) -> list[Talker]:
    """Both of each pair, one after the other."""
    return [say(token, pair.id, pair.roster) for pair in pairs for token in pair.tokens]


@contextmanager
def serving(cluster: postgres.Server, workers: int) -> Iterator[Running]:
    """`entrepot serve` as a user starts it; limits are as high as they go, not off."""
    port = free_port()
    environment = {
        "DATABASE_URL": postgres.address(cluster, chat_data.ROLE, chat_data.NAME),
        "ENTREPOT_HOME": str(server.directory() / "home"),
        "ENTREPOT_PORT": str(port),
        "ENTREPOT_WORKERS": str(workers),
        "ENTREPOT_APPS": "chat",
        "ENTREPOT_READS_PER_MINUTE": "1000000",
        "ENTREPOT_WRITES_PER_MINUTE": "1000000",
        "ENTREPOT_MESSAGES_PER_MINUTE": "1000000",
        "ENTREPOT_MESSAGES_PER_SECOND": "100000",
        "ENTREPOT_GROUPS_PER_DAY": "1000000",
    }
    entrepot = [str(Path(sys.executable).with_name("entrepot")), "serve"]
    with processes.running(Command("chat", entrepot, environment, ROOT), port, "GET /health/live") as running:
        yield running


def run_as_served(work: Coroutine[Any, Any, T]) -> T:
    """In the event loop that the server has too."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def of_ours(cluster: postgres.Server, workers: int, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Sends by either way, delivery, and the group."""
    pairs, crowd = asyncio.run(people(cluster.get_uri(chat_data.NAME)))
    found: dict[str, Any] = {}
    with serving(cluster, workers) as running:
        watched = {"server": running.process.pid, "postgresql": cluster.get_postmaster_info().pid}
        stream = Plan("closed", "stream", running.port, talkers(pairs, over_stream), watched=watched, seconds=seconds)
        http = replace(stream, kind="http", talkers=talkers(pairs, by_request))
        steady = replace(stream, mode="steady", peers=[place ^ 1 for place in range(LINES)], seconds=2 * seconds)
        heard = [over_stream(token, crowd.id, crowd.roster) for token in crowd.tokens]
        plans = {
            "stream": replace(stream, in_flight=IN_FLIGHT),
            "http": http,
            "steady": steady,
            "group": replace(stream, mode="fan_out", talkers=heard, in_flight=4, seconds=seconds / 2),
        }
        for name, plan in plans.items():
            found[name] = chat_load.run(plan)
            tell(f"{name}: {found[name]}")
        known = [(token, pair.id) for pair in pairs for token in pair.tokens]
        dsn = cluster.get_uri(chat_data.NAME)
        found["requests"] = run_as_served(chat_queries.over_http(running.port, dsn, known, tell))
    return found


def run(seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Everything, on one cluster, one after the other."""
    folder, workers = server.directory() / "chat", int(os.environ.get("ENTREPOT_BENCH_WORKERS", "1"))
    synapse.installed()
    chat_data.ready(folder)
    with postgres.started(folder, SETTINGS) as cluster:
        dsn, served = cluster.get_uri(chat_data.NAME), postgres.address(cluster, chat_data.ROLE, chat_data.NAME)
        return {
            "workers": workers,
            "data": asyncio.run(counted(dsn)),
            "ours": of_ours(cluster, workers, seconds, tell),
            "reads": run_as_served(chat_queries.measure(dsn, served, tell)),
            "grouping": run_as_served(chat_grouping.measure(cluster, tell)),
            "synapse": synapse.measure(cluster, seconds, tell),
        }


async def counted(dsn: str) -> dict[str, Any]:
    """How much there is, as PostgreSQL estimates it, and its version."""
    db = await asyncpg.connect(dsn)
    (row,) = await db.fetch(COUNTED)
    await db.close()
    return dict(row)
