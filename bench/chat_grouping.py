"""What it is worth that sends share a commit: the same messages in grouped transactions, and each in its own."""

import asyncio
import secrets
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg

from bench import chat_data
from bench.chat_load import Clock, percentiles
from entrepot.apps.chat.calls.messages import SendMessage
from entrepot.apps.chat.operations import sending
from entrepot.dev import postgres
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import Settings
from entrepot.kernel.values import Base64, BoxNonce, new_id
from entrepot.kernel.wallet import Wallet

SENDERS, SECONDS, WARM = 200, 4.0, 1.0
SETTINGS = Settings(pool_size=20, pool_overflow=0)
PLACES = """
SELECT c.id, c.roster, u.wallet_address AS wallet FROM bench.talk t JOIN chat.conversations c ON c.id = t.id
JOIN chat.users u ON u.id = c.first_id WHERE NOT c.is_silent ORDER BY md5('group' || t.n) LIMIT $1
"""
Send = Callable[[SendMessage], Awaitable[object]]


def message(place: asyncpg.Record) -> SendMessage:
    """Another one from there."""
    return SendMessage(
        by=Wallet(place["wallet"]),
        id=UUID(bytes=place["id"].bytes),
        message_id=new_id(),
        ciphertext=Base64(b64encode(secrets.token_bytes(512)).decode()),
        nonce=BoxNonce(b64encode(secrets.token_bytes(24)).decode()),
        roster=place["roster"],
    )


async def drive(places: list[asyncpg.Record], send: Send, watched: dict[str, int]) -> dict[str, Any]:
    """Each sender writes the next as soon as the last is acknowledged."""
    taken: list[float] = []
    ends = time.perf_counter() + WARM + SECONDS

    async def sender(place: asyncpg.Record) -> None:
        while (began := time.perf_counter()) < ends:
            await send(message(place))
            taken.append(time.perf_counter() - began)

    running = asyncio.gather(*(sender(place) for place in places))
    await asyncio.sleep(WARM)
    clock, before = Clock(watched), len(taken)
    await asyncio.sleep(SECONDS)
    found = clock.stop(len(taken) - before)
    found["acknowledged_ms"] = percentiles(taken[before:])
    await running
    return found


async def measure(cluster: postgres.Server, tell: Callable[[str], None]) -> dict[str, Any]:
    """Without sockets, in this process: by the gatherer, and by a transaction for each on twenty connections."""
    owner = await asyncpg.connect(cluster.get_uri(chat_data.NAME))
    places = await owner.fetch(PLACES, SENDERS)
    await owner.close()
    watched, found = {"postgresql": cluster.get_postmaster_info().pid}, dict[str, Any]()
    async with Database(postgres.address(cluster, chat_data.ROLE, chat_data.NAME), SETTINGS) as database:
        outgoing = sending.Outgoing()

        async def together(ask: SendMessage) -> None:
            await outgoing.gather.ask(database, ask)

        async def alone(ask: SendMessage) -> None:
            async with database.write() as db:
                await sending.say(db, [ask])

        for name, send in {"together": together, "alone": alone}.items():
            found[name] = await drive(places, send, watched)
            tell(f"{name}: {found[name]}")
    return found
