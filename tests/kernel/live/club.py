"""The test-only app of streams that are spoken to: a club with rooms, whose members come and go while they listen."""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import msgspec
import sqlalchemy as sa

from entrepot.kernel.app import App
from entrepot.kernel.core import CORE
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Fresh, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import server
from entrepot.kernel.http.frames import Subscription, Watch
from entrepot.kernel.http.openapi import document
from entrepot.kernel.http.pages import pages
from entrepot.kernel.http.route import OWN, Ask, Who, get, post, stream
from entrepot.kernel.refusal import NotFound
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import Letter, publish
from entrepot.kernel.work.whispers import Whispers
from entrepot.main import House
from tests.conftest import ROLE, TestDatabase, listening, settings_for
from tests.kernel.conftest import WALLET
from tests.kernel.live.radio import Said, Set

OTHER = "0x27b1fdb04752bbc536007a920d24acb045561c26"
SCHEMA = f"""
    CREATE SCHEMA club;
    CREATE TABLE club.members (room text, wallet text, PRIMARY KEY (room, wallet));
    GRANT USAGE ON SCHEMA club TO {ROLE};
    GRANT ALL ON club.members TO {ROLE};
"""
ROOMS = Query("SELECT room FROM club.members WHERE wallet = :wallet")
LOCK = Query("SELECT pg_advisory_xact_lock(hashtext(:room))")
IS_MEMBER = Query("SELECT true FROM club.members WHERE room = :room AND wallet = :wallet")
JOIN = Query("INSERT INTO club.members (room, wallet) VALUES (:room, :wallet)")
LEAVE = Query("DELETE FROM club.members WHERE room = :room AND wallet = :wallet")


class Moved(msgspec.Struct, frozen=True, tag_field="kind", tag="moved"):
    """You came into a room, or left it."""

    room: str


class Hummed(msgspec.Struct, frozen=True, tag_field="kind", tag="hummed"):
    """Somebody hums."""

    tune: str


class NotYourRoom(NotFound):
    """There is no such room, or you are not in it."""


class InRoom(Ask, frozen=True):
    """One of your rooms."""

    by: Wallet
    room: str


class Say(InRoom, frozen=True):
    """A word for those who are in a room."""

    word: str


class Wait(Ask, frozen=True):
    """How long to wait, in seconds."""

    seconds: float = 0


class Heard(msgspec.Struct, frozen=True):
    """What was said, and by whom."""

    word: str
    by: str


class Gate:
    """Holds whoever begins to listen, between the reading of their rooms and the listening."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.reached = asyncio.Event()


class Doorman:
    """Remembers who came and went, and may be out of order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.still_here: list[list[str]] = []
        self.is_ill = False
        self.pause = 0.0

    async def came(self, database: Database, whispers: Whispers, wallet: Wallet) -> None:
        assert isinstance(database, Database)
        whispers.say(f"watch:{wallet}", Hummed("welcome"))
        await asyncio.sleep(2 * self.pause)  # longer than going, which must not overtake it
        self.note(f"came {wallet}")

    async def went(self, database: Database, wallet: Wallet) -> None:
        assert isinstance(database, Database)
        await asyncio.sleep(self.pause)
        self.note(f"went {wallet}")

    async def still(self, wallets: Sequence[Wallet]) -> None:
        self.still_here.append(sorted(wallets))
        self.note("still")

    def note(self, what: str) -> None:
        if what != "still":
            self.seen.append(what)
        if self.is_ill:
            raise RuntimeError("the doorman is ill")


class Waiting:
    """How many wait at a time."""

    def __init__(self) -> None:
        self.now = self.most = self.done = 0


async def listen(db: Fresh, ask: Watch, gate: Gate) -> Subscription:
    """Listen to your rooms."""
    rooms = frozenset(f"room:{row[0]}" for row in await db.rows(ROOMS, wallet=ask.by))
    gate.reached.set()
    await gate.is_open.wait()
    return Subscription((f"club:{ask.by}",), joined=rooms)


async def say(db: Write, ask: Say) -> Heard:
    """Say a word in a room."""
    await db.value(LOCK, room=ask.room)
    if not await db.value(IS_MEMBER, room=ask.room, wallet=ask.by):
        raise NotYourRoom
    await publish(db, [Letter(f"room:{ask.room}", Said(ask.word))])
    return Heard(ask.word, ask.by)


async def join(db: Write, ask: InRoom) -> None:
    """Come into a room."""
    await db.value(LOCK, room=ask.room)
    await db.run(JOIN, room=ask.room, wallet=ask.by)
    await publish(db, [Letter(f"club:{ask.by}", Moved(ask.room), opens=f"room:{ask.room}")])


async def leave(db: Write, ask: InRoom) -> None:
    """Leave a room."""
    await db.value(LOCK, room=ask.room)
    await db.run(LEAVE, room=ask.room, wallet=ask.by)
    await publish(db, [Letter(f"club:{ask.by}", Moved(ask.room), closes=f"room:{ask.room}")])


async def hum(ask: Say, whispers: Whispers) -> None:
    """Hum in a room."""
    whispers.say(f"room:{ask.room}", Hummed(ask.word), also=f"club:{ask.by}")


async def wait(ask: Wait, waiting: Waiting) -> None:
    """Wait."""
    waiting.now += 1
    waiting.most = max(waiting.most, waiting.now)
    await asyncio.sleep(ask.seconds)
    waiting.now -= 1
    waiting.done += 1


async def fall(_ask: Wait) -> None:
    """Break."""
    raise RuntimeError("as asked")


SAY = post("/rooms/{room}/words", say, who=Who.SIGNED_IN, of=OWN, status=201, refuses=(NotYourRoom,), body_limit=70_000)
TAKES = {
    "say": SAY,
    "join": post("/rooms/{room}", join, who=Who.SIGNED_IN, of=OWN),
    "leave": post("/rooms/{room}/leave", leave, who=Who.SIGNED_IN, of=OWN, needs_key=True),
    "hum": post("/rooms/{room}/hum", hum, who=Who.SIGNED_IN, of=OWN),
    "wait": get("/wait", wait, who=Who.SIGNED_IN, of=OWN),
    "fall": get("/fall", fall, who=Who.SIGNED_IN, of=OWN),
    "rule": get("/rule", wait, who=Who.OPERATOR),
}
LISTEN = stream(
    "/live", listen, who=Who.SIGNED_IN, of=OWN, frames=(Said, Moved, Hummed), takes=TAKES, attendance=Doorman
)
APP = App(name="club", tables=sa.MetaData(schema="club"), routes=(LISTEN, SAY), keeps=(Gate, Doorman, Waiting))


async def prepare(owner: asyncpg.Connection, *wallets: str) -> None:
    """The members, and a session for each wallet, whose token is the wallet itself."""
    await owner.execute(SCHEMA)
    for wallet in wallets:
        await owner.execute(
            "INSERT INTO core.sessions (token_hash, wallet, expires_at) VALUES ($1, $2, now() + interval '1 hour')",
            hashlib.sha256(wallet.encode()).digest(),
            wallet,
        )


@dataclass
class Seat(Set):
    """A socket in the club."""

    backlog: list[dict[str, Any]] = field(default_factory=list)
    """What was told while a reply was waited for."""

    async def ask(self, call: str, ref: str = "1", key: str | None = None, **given: Any) -> None:
        """Sends a call."""
        more = {} if key is None else {"key": key}
        await self.socket.send_str(json.dumps({"call": call, "ref": ref, "ask": given, **more}))

    async def reply(self, patience: float = 10) -> dict[str, Any]:
        """The next reply; what else is told is kept for later."""
        while told := await self.frame(patience):
            if told["kind"] == "reply":
                return told
            self.backlog.append(told)
        raise AssertionError(f"the stream ended with {self.close}")

    async def call(self, call: str, **given: Any) -> dict[str, Any]:
        """Sends a call and waits for its reply."""
        await self.ask(call, **given)
        return await self.reply()

    async def told(self, *, until: str) -> list[str]:
        """Every word and room that is told, up to and with that word."""
        found: list[str] = []
        while not found or found[-1] != until:
            told = self.backlog.pop(0) if self.backlog else await self.frame(10)
            assert told, f"the stream ended with {self.close} after {found}"
            if told["kind"] in ("said", "moved", "hummed"):
                found.append(told.get("word") or told.get("room") or told["tune"])
        return found


@dataclass
class Club:
    """A served house with the club in it, or the address of one in another process."""

    url: str
    http: aiohttp.ClientSession
    house: House | None = None

    def kept(self, kind: type) -> Any:
        """What the app keeps."""
        assert self.house is not None
        return self.house.kept[kind]

    @asynccontextmanager
    async def seat(self, wallet: str = WALLET, *, ready: bool = True, **more: Any) -> AsyncIterator[Seat]:
        """A stream of that wallet's, which by default has begun."""
        headers = {"Authorization": f"Bearer {wallet}", **more.pop("headers", {})}
        path = f"{self.url}/api/v1/club/live"
        async with self.http.ws_connect(path, params=more, headers=headers, max_msg_size=0) as socket:
            made = Seat(socket)
            if ready:
                told = await made.frame()
                assert told["kind"] == "ready", told
            yield made

    async def run(self, operation: Any, wallet: str, room: str, **more: Any) -> None:
        """Carries out an operation of the club for a wallet, as any process might."""
        assert self.house is not None
        kind = Say if "word" in more else InRoom
        async with self.house.database.write() as db:
            await operation(db, kind(by=Wallet(wallet), room=room, **more))


@asynccontextmanager
async def opened(database: TestDatabase, **settings: Any) -> AsyncIterator[Club]:
    """A club on that database."""
    house = House(settings_for(database, **settings))
    house.apps = (CORE, APP)
    house.kept = {kind: kind() for kind in APP.keeps}
    endpoints = house.endpoints()
    built = server.build(endpoints, house.settings, pages(document(endpoints, "Club", "1")))
    async with house, listening(built) as url, aiohttp.ClientSession() as http:
        yield Club(url, http, house)
        await house.live.close()


@asynccontextmanager
async def branch(database: TestDatabase) -> AsyncIterator[Club]:
    """The same club in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, database.url, database.owner_url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        assert url.startswith("http"), "the branch did not open"
        async with aiohttp.ClientSession() as http:
            yield Club(url, http)
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 15) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def main(url: str, owner_url: str) -> None:
    """Serves until its standard input ends."""
    database = TestDatabase.__new__(TestDatabase)
    database.url, database.owner_url = url, owner_url
    async with opened(database) as club:
        print(club.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
