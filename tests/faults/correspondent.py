"""Somebody who writes over a socket through whichever server there is, and comes back whenever it is lost."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.apps.chat.conftest import Caller, envelope
from tests.faults.chat_histories import Acknowledged

PATIENCE = 5  # seconds for a reply


@dataclass
class Correspondent:
    """`urls` are the servers'. What was heard and acknowledged is kept for the checker."""

    caller: Caller
    urls: Sequence[str]
    dice: random.Random
    cursor: str = ""
    rosters: dict[str, int] = field(default_factory=dict)
    heard: list[tuple[str, int, str]] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    surprises: list[Any] = field(default_factory=list)
    repeated: int = 0
    is_over: bool = False
    _socket: ClientConnection | None = None
    _refs: "count[int]" = field(default_factory=count)
    _waiting: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)

    @property
    def is_listening(self) -> bool:
        return bool(self.cursor)

    async def listen(self) -> None:
        """Until it is over: a socket, and when it is lost another, from the last frame on."""
        while not self.is_over:
            url = self.dice.choice(self.urls).replace("http", "ws") + "/api/v1/chat/stream"
            after = f"?after={self.cursor}" if self.cursor else ""
            headers = {"Authorization": f"Bearer {self.caller.token}"}
            try:
                async with connect(url + after, additional_headers=headers, compression=None, close_timeout=1) as made:
                    self._socket = made
                    async for text in made:
                        self._take(json.loads(text))
            except (OSError, WebSocketException, TimeoutError, EOFError):
                pass
            self._socket = None
            for waiting in self._waiting.values():
                waiting.done() or waiting.set_exception(ConnectionError())
            await asyncio.sleep(0.05 + self.dice.random() / 10)

    def cut(self) -> None:
        """The connection is gone without a word, and what was on its way with it."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def stop(self) -> None:
        self.is_over = True
        if self._socket is not None:
            await self._socket.close()

    def _take(self, frame: dict[str, Any]) -> None:
        self.cursor = frame.get("cursor", self.cursor)
        match frame["kind"]:
            case "message":
                message = frame["message"]
                self.heard.append((frame["conversation_id"], message["seq"], message["id"]))
                self.rosters[frame["conversation_id"]] = frame["roster"]
            case "reply" if (waiting := self._waiting.get(frame["ref"])) and not waiting.done():
                waiting.set_result(frame)
            case "start_over":
                self.surprises.append(frame)

    async def _ask(self, socket: ClientConnection, ask: dict[str, Any]) -> dict[str, Any]:
        ref = str(next(self._refs))
        self._waiting[ref] = asyncio.get_running_loop().create_future()
        try:
            await socket.send(json.dumps({"call": "send", "ref": ref, "ask": ask}))
            return await asyncio.wait_for(self._waiting[ref], PATIENCE)
        finally:
            del self._waiting[ref]

    async def send(self, conversation: str) -> bool:
        """A message, as often as it takes; whether it was taken, which it is not of who is no member."""
        message = envelope(id=conversation)
        while True:
            message["roster"] = self.rosters.get(conversation, 0)
            if (socket := self._socket) is None:
                await asyncio.sleep(0.02)
                continue
            try:
                reply = await self._ask(socket, message)
            except (ConnectionError, TimeoutError, WebSocketException):
                self.repeated += 1
                await asyncio.sleep(0.02)
                continue
            match reply["status"]:
                case 201:
                    answer = reply["answer"]
                    given = Acknowledged(conversation, answer["seq"], answer["id"], self.caller.wallet)
                    self.acknowledged.append(given)
                    return True
                case 409 if "roster" in reply["problem"]:
                    self.rosters[conversation] = reply["problem"]["roster"]
                case 404:
                    return False
                case 503:
                    await asyncio.sleep(0.05)
                case _:
                    self.surprises.append(reply)
                    return False

    async def move(self, method: str, group: str) -> None:
        """Joins or leaves; done already is done."""
        while True:
            try:
                url = f"{self.dice.choice(self.urls)}/api/v1/chat/groups/{group}/members"
                given = {"json" if method == "POST" else "params": {"wallet": self.caller.wallet}}
                headers = {"Authorization": f"Bearer {self.caller.token}"}
                async with self.caller.http.request(method, url, headers=headers, **given) as answer:
                    if answer.status < 500:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
