"""The HTTP connections of a server process: uvicorn's, with bounds on how long and how slow a request may be."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.datastructures import Headers
from websockets.http11 import Request

from entrepot.kernel.http.websocket import WebSocket

MOST_HEAD = 65_536
"""Octets of a request line and its headers, about: what arrives in one piece is looked at as a whole."""
HEAD_PATIENCE = 30.0  # seconds in which the head must be there, once it has begun or once the connection is made


BODY_PATIENCE = 60.0  # seconds in which the rest of a body must be there that was answered before it was whole


class Connection(HttpToolsProtocol):
    """One connection. The parser of uvicorn itself takes heads without end, and waits for them without end."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_size = 0
        self._is_in_head = False
        self._is_whole = True
        self._late: asyncio.TimerHandle | None = None
        self._left: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It must say something soon."""
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_PATIENCE, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        self._in_time()
        self._have_rest()

    def data_received(self, data: bytes) -> None:
        """Some octets of a request, of several, or of a part of one."""
        super().data_received(data)
        if not self._is_in_head:
            self._in_time()
            return
        self._head_size += len(data)
        if self._head_size > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of this request is too long.")
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_PATIENCE, self.transport.abort)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_size, self._is_in_head, self._is_whole = 0, True, False

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is whole, too."""
        self._is_whole = True
        self._have_rest()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered. The rest of its body is read, as whoever sends it may not listen before its end."""
        super().on_response_complete()
        if not self._is_whole and self._left is None:
            self._left = self.loop.call_later(BODY_PATIENCE, self.transport.abort)

    def handle_websocket_upgrade(self) -> None:
        """From here on it is a WebSocket. What it was is let go at once, and not when the collector comes."""
        self.connections.discard(self)
        told = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers])
        request = Request(self.url.decode("latin-1"), told, self.scope["method"], f"HTTP/{self.scope['http_version']}")
        socket = WebSocket(self.app, self.server_state, self.transport)
        self.transport.set_protocol(socket)
        socket.begin(request, self.headers)
        self.parser = None  # type: ignore[assignment]

    def _have_rest(self) -> None:
        if self._left is not None:
            self._left.cancel()
            self._left = None

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
