"""The WebSockets of a server process: ASGI on one side, the wire on the other, and little memory while idle."""

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NewType
from urllib.parse import unquote

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from uvicorn.server import ServerState

LOG = logging.getLogger("entrepot.websocket")
MOST = 4_194_304
"""The octets of the longest message; what is too long for a call is refused by that call, in words."""
LINGER = 5.0  # seconds that the other side has to take the last frames and to say goodbye in turn
ASGI = {"version": "3.0", "spec_version": "2.4"}
GOING_AWAY = "the server is going away; come back with your last cursor"
EXTENSION = "entrepot.websocket"
"""The ASGI extension by which an application has the `WebSocket` itself, to write without a task and a wait for each
frame."""
Framed = NewType("Framed", bytes)


def framed(text: bytes) -> Framed:
    """A text as it goes over the wire. A server masks nothing, so it is made once for however many sockets."""
    return Framed(Frame(Opcode.TEXT, text).serialize(mask=False))


class Gone(ConnectionError):
    """The other side is gone, or on its way."""


class WebSocket(asyncio.Protocol):
    """One WebSocket, made by the HTTP connection that was asked to become it.

    The extension permessage-deflate is not offered: it would keep windows of up to 64 KiB for each socket, and what
    chat carries is ciphertext, which does not compress.
    uvicorn's own class keeps the whole handshake, three queues and a timer, 19 KiB each: this one keeps what it needs.
    """

    __slots__ = (
        *("_application", "_closer", "_inbox", "_is_lost", "_is_open", "_is_reading", "_is_text", "_partial"),
        *("_response", "_state", "_taker", "_transport", "_wire", "_writable"),
    )

    def __init__(self, application: Any, state: "ServerState", transport: asyncio.Transport) -> None:
        self._application, self._state, self._transport = application, state, transport
        self._wire = Protocol(SERVER, max_size=MOST, logger=LOG)
        self._response: Response | None = None  # to the handshake, until the application accepts
        self._inbox: deque[dict[str, Any]] | None = None
        self._taker: asyncio.Future[None] | None = None
        self._writable: asyncio.Event | None = None  # there while the transport takes nothing
        self._partial: bytearray | None = None
        self._closer: asyncio.TimerHandle | None = None
        self._is_open = self._is_lost = self._is_text = False
        self._is_reading = True

    def begin(self, request: Request, headers: list[tuple[bytes, bytes]]) -> None:
        """Answers the handshake, or has the application answer it. The headers are once more in ASGI's own form."""
        self._state.connections.add(self)  # type: ignore[arg-type]  # any class that has `shutdown`
        response = ServerProtocol(logger=LOG).accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._refuse(response)
            return
        self._response = response
        self._put({"type": "websocket.connect"})
        task = asyncio.get_running_loop().create_task(self._run(self._scope(request.path, headers)))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    # What the transport tells

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over, whoever ended it."""
        self._is_lost = True
        self._state.connections.discard(self)
        if self._closer is not None:
            self._closer.cancel()
        if self._writable is not None:
            self._writable.set()
        self._put({"type": "websocket.disconnect", "code": int(CloseCode.ABNORMAL_CLOSURE)})

    def pause_writing(self) -> None:
        """The other side does not read. Then it is not read either: its pings would pile up as pongs."""
        self._writable = asyncio.Event()
        self._read_or_not()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._writable is not None:
            self._writable.set()
        self._writable = None
        self._read_or_not()

    def data_received(self, data: bytes) -> None:
        """Frames, or parts of them."""
        self._wire.receive_data(data)
        for event in self._wire.events_received():
            assert isinstance(event, Frame)
            self._take(event)
        self._flush()
        if self._wire.parser_exc is not None:
            self._hear_goodbye()

    def shutdown(self) -> None:
        """The server ends. It waits for nobody's answer, only for what is written to be taken."""
        self._put({"type": "websocket.disconnect", "code": int(CloseCode.GOING_AWAY), "reason": GOING_AWAY})
        self._say_goodbye(CloseCode.GOING_AWAY, GOING_AWAY)
        self._transport.close()

    # What comes

    def _scope(self, url: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
        path, _, query = url.partition("?")
        return {
            "type": "websocket",
            "asgi": ASGI,
            "http_version": "1.1",
            "scheme": "ws",
            "server": self._transport.get_extra_info("sockname"),
            "client": self._transport.get_extra_info("peername"),
            "root_path": "",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "subprotocols": [],
            "extensions": {EXTENSION: self},
            "state": {},
        }

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._hear_goodbye()
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin and self._partial is None:
                self._hear(bytes(frame.data))
                return
            if self._partial is None:
                self._partial = bytearray()
            self._partial += frame.data
            if frame.fin:
                whole, self._partial = bytes(self._partial), None
                self._hear(whole)

    def _hear(self, data: bytes) -> None:
        if self._wire.state is not OPEN:
            return
        try:
            text = data.decode() if self._is_text else None
        except UnicodeDecodeError:
            self._put({"type": "websocket.disconnect", "code": int(CloseCode.INVALID_DATA)})
            self._say_goodbye(CloseCode.INVALID_DATA, "a text must be UTF-8")
            return
        self._put({"type": "websocket.receive", "text": text, "bytes": None if self._is_text else data})

    def _put(self, message: dict[str, Any]) -> None:
        """Into the inbox, which is read empty before the next octets are."""
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(message)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)
        self._read_or_not()

    def _read_or_not(self) -> None:
        is_over = self._wire.state is not OPEN
        wanted = is_over or (self._inbox is None and self._writable is None)
        if self._is_lost or wanted == self._is_reading:
            return
        self._is_reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # What goes

    def _flush(self) -> None:
        if not self._is_lost and (data := b"".join(self._wire.data_to_send())):
            self._transport.write(data)

    def _refuse(self, response: Response) -> None:
        """An answer instead of a WebSocket."""
        self._transport.write(response.serialize())
        self._leave()

    def _say_goodbye(self, code: int, reason: str) -> None:
        """Closes from our side, once; who does not answer is dropped, with what waits for it."""
        if not self._is_open:
            self._leave()
        elif self._wire.state is OPEN:
            self._wire.send_close(code, reason)
            self._flush()
            self._closer = asyncio.get_running_loop().call_later(LINGER, self._transport.abort)
            self._read_or_not()

    def _hear_goodbye(self) -> None:
        """It closes, or breaks the rules, or answers our own goodbye."""
        told = self._wire.close_rcvd or self._wire.close_sent
        assert told is not None
        self._flush()
        self._put({"type": "websocket.disconnect", "code": told.code, "reason": told.reason})
        self._leave()

    def _leave(self) -> None:
        """Once what is written was taken; not later than the other side may take its time."""
        self._transport.close()
        if self._closer is None:
            self._closer = asyncio.get_running_loop().call_later(LINGER, self._transport.abort)

    # What the application sees

    @property
    def is_writable(self) -> bool:
        """Whether what is written goes on at once, or at least finds room."""
        return self._writable is None

    async def writable(self) -> None:
        """Waits until it is, or until there is nobody left to write to."""
        if self._writable is not None:
            await self._writable.wait()

    def write(self, frames: bytes) -> None:
        """One or more of `framed`, after all that was sent before. Raises `Gone`."""
        if self._is_lost or self._wire.state is not OPEN:
            raise Gone
        self._transport.write(frames)

    async def _run(self, scope: dict[str, Any]) -> None:
        code, status = CloseCode.NORMAL_CLOSURE, HTTPStatus.FORBIDDEN
        try:
            await self._application(scope, self._receive, self._send)
        except Gone:
            pass
        except Exception:
            LOG.exception("a WebSocket of %s broke", scope["path"])
            code, status = CloseCode.INTERNAL_ERROR, HTTPStatus.INTERNAL_SERVER_ERROR
        finally:
            if not self._is_lost:
                if self._response is not None:
                    self._refuse(ServerProtocol(logger=LOG).reject(status, ""))
                else:
                    self._say_goodbye(code, "")

    async def _receive(self) -> dict[str, Any]:
        while self._inbox is None:
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        message = self._inbox.popleft()
        if not self._inbox:
            self._inbox = None
            self._read_or_not()
        return message

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "websocket.close":
            if self._is_open:
                self._say_goodbye(message.get("code", CloseCode.NORMAL_CLOSURE), message.get("reason") or "")
            return  # one that was not accepted is refused at the application's end
        if kind == "websocket.accept":
            self._accept(message.get("headers", ()))
            return
        await self.writable()
        if self._is_lost or self._wire.state is not OPEN:
            raise Gone
        if (text := message.get("text")) is not None:
            self._wire.send_text(text.encode())
        else:
            self._wire.send_binary(message["bytes"])
        self._flush()

    def _accept(self, headers: Any) -> None:
        if self._is_lost or self._response is None:
            raise Gone
        response, self._response = self._response, None
        for name, value in headers:
            response.headers[name.decode("latin-1")] = value.decode("latin-1")
        self._is_open = True
        self._transport.write(response.serialize())
