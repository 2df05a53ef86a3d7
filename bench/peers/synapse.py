"""Synapse, the homeserver of Matrix, on the same PostgreSQL: sends, delivery, history, and rooms that are made."""

import asyncio
import hashlib
import hmac
import itertools
import json
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import asyncpg

from bench import chat_load, processes, server
from bench.chat_load import Plan, percentiles
from bench.chat_queries import loop
from bench.chat_wire import PLACE, Talker
from bench.processes import Command, Running, free_port
from entrepot.dev import postgres

VERSION = "1.163.2"
NAME, LINES, OCTETS = "synapse", 200, 512
ALONE = 5.0  # messages a second, where delivery is timed; far below what it can take
API = "/_matrix/client/v3"
WITHOUT_END = {"per_second": 1_000_000, "burst_count": 1_000_000}
LIMITS: Mapping[str, Any] = {
    "rc_message": WITHOUT_END,
    "rc_room_creation": WITHOUT_END,
    "rc_joins": {"local": WITHOUT_END, "remote": WITHOUT_END},
    "rc_joins_per_room": WITHOUT_END,
    "rc_invites": {"per_room": WITHOUT_END, "per_user": WITHOUT_END, "per_issuer": WITHOUT_END},
    "rc_login": {"address": WITHOUT_END, "account": WITHOUT_END, "failed_attempts": WITHOUT_END},
    "rc_registration": WITHOUT_END,
}


@dataclass(frozen=True)
class Room:
    """Two who talk."""

    id: str
    tokens: tuple[str, str]


def installed() -> Path:
    """The Python of its own environment, made once."""
    folder = server.directory() / f"synapse-{VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        wanted = [f"matrix-synapse=={VERSION}", "psycopg2-binary"]
        install = [str(python), "-m", "pip", "install", "--quiet", *wanted]
        subprocess.run(install, check=True, timeout=600, capture_output=True)
        (folder / "ready").touch()
    return python


def configured(folder: Path, cluster: postgres.Server, port: int, secret: str) -> Path:
    """Its settings: one process, no federation, no presence, no limits that matter."""
    host = parse_qs(urlsplit(cluster.get_uri()).query)["host"][0]
    log = {"version": 1, "handlers": {"file": {"class": "logging.StreamHandler", "level": "WARNING"}}}
    (folder / "log.yaml").write_text(json.dumps({**log, "root": {"level": "WARNING", "handlers": ["file"]}}))
    settings = {
        "server_name": "localhost",
        "pid_file": str(folder / "synapse.pid"),
        "listeners": [
            {"port": port, "type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}]}
        ],
        "database": {
            "name": "psycopg2",
            "args": {"user": "postgres", "dbname": NAME, "host": host, "cp_min": 5, "cp_max": 20},
        },
        "log_config": str(folder / "log.yaml"),
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "registration_shared_secret": secret,
        "macaroon_secret_key": secret,
        "form_secret": secret,
        "bcrypt_rounds": 4,
        "report_stats": False,
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "presence": {"enabled": False},
        **LIMITS,
    }
    file = folder / "homeserver.yaml"
    file.write_text(json.dumps(settings))
    return file


async def emptied(cluster: postgres.Server) -> None:
    """A database as it wants one."""
    admin = await asyncpg.connect(cluster.get_uri("postgres"))
    await admin.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {NAME} ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER 'libc' TEMPLATE template0")
    await admin.close()


@contextmanager
def serving(cluster: postgres.Server, secret: str) -> Iterator[Running]:
    """One homeserver, on an empty database."""
    python, port = installed(), free_port()
    folder = server.directory() / "synapse-home"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    asyncio.run(emptied(cluster))
    start = [str(python), "-m", "synapse.app.homeserver", "-c", str(configured(folder, cluster, port, secret))]
    subprocess.run([*start, "--generate-keys"], check=True, capture_output=True, timeout=60)
    with processes.running(Command(NAME, start, {}, folder), port, "GET /_matrix/client/versions") as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


class Client:
    """Asks it, as one of its users."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http, self.url = http, url

    async def ask(self, method: str, path: str, token: str = "", body: object = None) -> Any:
        """The answer; raises what is not 2xx."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.request(method, self.url + path, headers=headers, json=body) as answer:
            found = await answer.json(content_type=None)
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {found}")
            return found

    async def register(self, secret: str, name: str) -> tuple[str, str]:
        """A new user's id and token."""
        nonce = (await self.ask("GET", "/_synapse/admin/v1/register"))["nonce"]
        text = f"{nonce}\0{name}\0password\0notadmin"
        mac = hmac.new(secret.encode(), text.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": "password", "admin": False, "mac": mac}
        found = await self.ask("POST", "/_synapse/admin/v1/register", body=body)
        return found["user_id"], found["access_token"]

    async def room(self, secret: str, number: int) -> Room:
        """Two new users in a room of theirs."""
        (_, first), (other, second) = [await self.register(secret, f"user{number}of{n}") for n in (1, 2)]
        body = {"preset": "private_chat", "invite": [other]}
        room: str = (await self.ask("POST", f"{API}/createRoom", first, body))["room_id"]
        await self.ask("POST", f"{API}/join/{quote(room)}", second, {})
        return Room(room, (first, second))

    async def send(self, room: Room, place: int, mark: str = "") -> str:
        """One message, with that mark in it; its id."""
        path = f"{API}/rooms/{quote(room.id)}/send/m.room.encrypted/{secrets.token_hex(16)}"
        event: str = (await self.ask("PUT", path, room.tokens[place], event_body(mark)))["event_id"]
        return event


def event_body(mark: str = "") -> dict[str, str]:
    """What an encrypted message looks like to it."""
    made = {"algorithm": "m.megolm.v1.aes-sha2", "session_id": mark or secrets.token_hex(16), "device_id": "BENCH"}
    return {**made, "ciphertext": secrets.token_hex(OCTETS // 2), "sender_key": secrets.token_hex(16)}


def talker(room: Room, place: int) -> Talker:
    """One of the two, by requests."""
    path = f"{API}/rooms/{quote(room.id)}/send/m.room.encrypted/{PLACE.decode()}"
    return Talker(room.tokens[place], path, json.dumps(event_body()), "PUT")


async def opened(port: int, secret: str) -> list[Room]:
    """Rooms for everybody, eight at a time."""
    async with aiohttp.ClientSession() as http:
        client, turns = Client(http, f"http://127.0.0.1:{port}"), asyncio.Semaphore(8)

        async def one(number: int) -> Room:
            async with turns:
                return await client.room(secret, number)

        return list(await asyncio.gather(*(one(number) for number in range(LINES // 2))))


async def delivery(client: Client, rooms: Sequence[Room], count: int) -> dict[str, float]:
    """From a send to when the other's /sync has it; one message at a time from each room, a few a second in all."""
    query = quote(json.dumps({"presence": {"types": []}, "room": {"timeline": {"limit": 10}}}))
    taken: list[float] = []

    async def pair(room: Room, wait: float) -> None:
        since = (await client.ask("GET", f"{API}/sync?timeout=0&filter={query}", room.tokens[1]))["next_batch"]
        for number in range(count // len(rooms) + 1):
            await asyncio.sleep(wait if number == 0 else len(rooms) / ALONE)
            path = f"{API}/sync?timeout=30000&filter={query}&since="
            began = asyncio.ensure_future(client.ask("GET", path + since, room.tokens[1]))
            await asyncio.sleep(0.05)
            at, mark = time.perf_counter(), secrets.token_hex(16)
            sent = asyncio.ensure_future(client.send(room, 0, mark))
            while mark not in json.dumps(found := await began):
                began = asyncio.ensure_future(client.ask("GET", path + found["next_batch"], room.tokens[1]))
            since = found["next_batch"]
            if number:
                taken.append(time.perf_counter() - at)
            await sent

    await asyncio.gather(*(pair(room, number / ALONE) for number, room in enumerate(rooms)))
    return percentiles(taken)


async def reads(port: int, rooms: Sequence[Room], seconds: float) -> dict[str, Any]:
    """Delivery, a page of 50 of a room, and rooms made, by as many clients as ask ours."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as http:
        client, numbers = Client(http, f"http://127.0.0.1:{port}"), itertools.count()
        found: dict[str, Any] = {"received_ms": await delivery(client, rooms[:10], round(4 * seconds * ALONE))}
        full = rooms[:4]
        await asyncio.gather(*(_several(client, room, 60) for room in full))

        async def page(die: random.Random) -> object:
            room = die.choice(full)
            return await client.ask("GET", f"{API}/rooms/{quote(room.id)}/messages?dir=b&limit=50", room.tokens[0])

        async def creation(_: random.Random) -> object:
            token = rooms[next(numbers) % len(rooms)].tokens[0]
            return await client.ask("POST", f"{API}/createRoom", token, {"preset": "private_chat", "name": "A group"})

        found["page"] = await loop(page)
        found["creation"] = await loop(creation)
    return found


async def _several(client: Client, room: Room, count: int) -> None:
    for _ in range(count):
        await client.send(room, 0)


def measure(cluster: postgres.Server, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """As ours is measured."""
    secret = secrets.token_hex(16)
    with serving(cluster, secret) as running:
        rooms = asyncio.run(opened(running.port, secret))
        tell("Synapse: everybody has a room")
        watched = {"server": running.process.pid, "postgresql": cluster.get_postmaster_info().pid}
        said = [talker(room, place) for room in rooms for place in (0, 1)]
        plan = Plan("closed", "http", running.port, said, watched=watched, seconds=2 * seconds, warm=6)
        found: dict[str, Any] = {"version": VERSION, "http": chat_load.run(plan)}
        tell(f"Synapse: {found['http']}")
        found.update(asyncio.run(reads(running.port, rooms, seconds)))
        tell(f"Synapse: {found}")
    return found
