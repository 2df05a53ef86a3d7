"""Somebody who writes over a socket through whichever server there is, and comes back whenever it is lost.

They live in a process that may be killed at any instant; the next one goes on from their journal.
"""

import asyncio
import base64
import json
import random
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from entrepot.kernel.values import new_id
from tests.faults.chat_journal import Answered, Asked, Heard, Journal, Refused, Repeated, Stands, Surprise

PATIENCE = 5.0  # seconds for a reply
PAUSE = 0.05  # seconds, at least, before another attempt
SLOW = 50  # frames of each socket that are taken one by one, so that a kill may come in the middle of what was missed
VISIT = 3  # messages that a visitor of a group leaves there


@dataclass(frozen=True)
class Person:
    """What their process is told of somebody. `places` are the conversations that they write to, with the last number
    of each before it all began; `visits` is a group that they join and leave again and again."""

    wallet: str
    token: str
    urls: Sequence[str]
    journal: Path
    places: Mapping[str, int]
    share: int
    visits: str | None
    seed: int


def carry(people: Sequence[Person]) -> None:
    """The process of some of them, until it is killed."""

    async def run() -> None:
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as lives:
            for each in people:
                one = Correspondent(each, http)
                lives.create_task(one.listen())
                lives.create_task(one.write())

    asyncio.run(run())


class Correspondent:
    """A person at work."""

    def __init__(self, person: Person, http: aiohttp.ClientSession) -> None:
        self.person, self.http = person, http
        self.headers = {"Authorization": f"Bearer {person.token}"}
        self.journal = Journal(person.journal)
        self.journal.open()
        heard = self.journal.heard
        self.dice = random.Random(person.seed + len(heard) + len(self.journal.asked))
        self.reached = {**person.places, **{each.conversation: each.seq for each in heard}}
        self.told = {each.conversation: each.seq for each in heard if not each.cursor}
        """How far the history told of each conversation. What the stream tells of that, too, is no repetition."""
        self.rosters = dict[str, int]()
        self._socket: ClientConnection | None = None
        self._refs = count()
        self._waiting = dict[str, asyncio.Future[dict[str, Any]]]()

    async def listen(self) -> None:
        """A socket, and when it is lost another.

        Who comes back after a kill goes on from the last frame or, without its cursor, from the last message of each
        conversation; the latter only who is always in the same ones, as one may not read on where one has left.
        """
        if self.journal.cursor and not self.person.visits and self.dice.random() < 0.5:
            self.journal.write(Stands(""))
        while True:
            after = f"?after={self.journal.cursor}" if self.journal.cursor else ""
            url = self._server().replace("http", "ws") + "/api/v1/chat/stream" + after
            try:
                async with connect(url, additional_headers=self.headers, compression=None, close_timeout=1) as made:
                    slow = SLOW
                    async for text in made:
                        await self._take(made, json.loads(text))
                        if slow:
                            slow -= 1
                            await asyncio.sleep(0.004)
            except (OSError, WebSocketException, TimeoutError, EOFError, aiohttp.ClientError):
                pass
            self._socket = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError())
            await asyncio.sleep(PAUSE + self.dice.random() / 10)

    async def write(self) -> None:
        """First what nobody has answered to, then the rest of the share."""
        for message in self.journal.unanswered:
            self.journal.write(Repeated(message.id))
            await self._deliver(message)
        if self.person.visits:
            await self._move("DELETE", self.person.visits)
        places = list(self.person.places)
        written = sum(each.conversation in places for each in self.journal.asked.values())
        for _ in range(self.person.share - written):
            await self._send(self.dice.choice(places))
            if self.person.visits and self.dice.random() < 0.1:
                await self._visit(self.person.visits)

    async def _visit(self, group: str) -> None:
        await self._move("POST", group)
        for _ in range(VISIT):
            await self._send(group)
        await self._move("DELETE", group)

    async def _send(self, conversation: str) -> None:
        ciphertext, nonce = (base64.b64encode(secrets.token_bytes(octets)).decode() for octets in (40, 24))
        message = Asked(str(new_id()), conversation, ciphertext, nonce)
        self.journal.write(message)
        await self._deliver(message)

    async def _deliver(self, message: Asked) -> None:
        """As often as it takes, over the socket that there is. Who has just left a group is refused there."""
        while True:
            try:
                reply = await self._ask(message)
            except (ConnectionError, TimeoutError, WebSocketException):
                await asyncio.sleep(PAUSE)
                self.journal.write(Repeated(message.id))
                continue
            match reply["status"]:
                case 201:
                    answer = reply["answer"]
                    self.journal.write(Answered(answer["id"], answer["conversation_id"], answer["seq"]))
                    return
                case 409 if "roster" in reply["problem"]:
                    self.rosters[message.conversation] = reply["problem"]["roster"]
                case 503:
                    await asyncio.sleep(PAUSE)
                case status:
                    if status != 404 or message.conversation in self.person.places:
                        self.journal.write(Surprise(json.dumps(reply)))
                    self.journal.write(Refused(message.id, status))
                    return

    async def _ask(self, message: Asked) -> dict[str, Any]:
        while self._socket is None:
            await asyncio.sleep(PAUSE / 2)
        ask = {
            "id": message.conversation,
            "message_id": message.id,
            "roster": self.rosters.get(message.conversation, 0),
        }
        ask |= {"ciphertext": message.ciphertext, "nonce": message.nonce}
        ref = str(next(self._refs))
        self._waiting[ref] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send(json.dumps({"call": "send", "ref": ref, "ask": ask}))
            return await asyncio.wait_for(self._waiting[ref], PATIENCE)
        finally:
            del self._waiting[ref]

    async def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        match frame["kind"]:
            case "ready":
                if not self.journal.cursor:
                    for place in self.person.places:
                        await self._read_on(place)
                    self.journal.write(Stands(frame["cursor"]))
                self._socket = socket
            case "message":
                place = frame["conversation_id"]
                self.rosters[place] = frame["roster"]
                if frame["message"]["seq"] > self.told.get(place, 0):
                    self._hear(place, frame["message"], frame["cursor"])
            case "reply" if (waiting := self._waiting.get(frame["ref"])) and not waiting.done():
                waiting.set_result(frame)
            case "start_over":
                self.journal.write(Surprise(json.dumps(frame)))

    async def _read_on(self, place: str) -> None:
        """What was said since, from the history."""
        url, after = f"{self._server()}/api/v1/chat/conversations/{place}/messages", f"after~{self.reached[place]}"
        while after:
            async with self.http.get(url, params={"cursor": after, "limit": 100}, headers=self.headers) as answer:
                page = await answer.json()
            if answer.status != 200:
                raise ConnectionError
            for message in page["items"]:
                self._hear(place, message, "")
            after = page["next_cursor"]
        self.told[place] = self.reached[place]

    def _hear(self, place: str, message: dict[str, Any], cursor: str) -> None:
        sender, ciphertext = message["sender_wallet"], message.get("ciphertext") or ""
        self.journal.write(Heard(place, message["seq"], message["id"], sender, ciphertext, cursor))
        self.reached[place] = message["seq"]

    async def _move(self, method: str, group: str) -> None:
        """Joins or leaves, once one is listened for; done already is done."""
        while True:
            if self._socket is not None:
                with suppress(aiohttp.ClientError):
                    url = f"{self._server()}/api/v1/chat/groups/{group}/members"
                    given: dict[str, Any] = {"json" if method == "POST" else "params": {"wallet": self.person.wallet}}
                    async with self.http.request(method, url, headers=self.headers, **given) as answer:
                        if answer.status < 500:
                            return
            await asyncio.sleep(PAUSE)

    def _server(self) -> str:
        return self.dice.choice(self.person.urls)
