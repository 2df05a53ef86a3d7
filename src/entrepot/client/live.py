"""Live streams of trades: events as they happen, over a connection that is made anew whenever it is lost.

The client remembers the cursor of what it has handed over, so that after a break the stream goes on with the very next
event, also from another server.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import aiohttp
import msgspec

from entrepot.apps.escrow.calls.live import TradeFrame
from entrepot.client.failures import Refused, Unreachable
from entrepot.client.transport import Transport, refusal
from entrepot.kernel.http.frames import Beat, Ready, RefusedFrame, StartOver
from entrepot.kernel.http.problem import Problem
from entrepot.kernel.values import read_value

LiveEvent = Ready | StartOver | TradeFrame
Sent = LiveEvent | Beat | RefusedFrame
DECODER: msgspec.json.Decoder[Sent] = msgspec.json.Decoder(Sent, dec_hook=read_value)
REFUSED = 4000
"""Close codes of refusals are this and the status that HTTP has for them."""
PASSING = frozenset({408, 429, 500, 503})
PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds before a new connection, which grow


class Anything(msgspec.Struct, frozen=True):
    """A frame of a kind that this client does not know yet: only how far it leads."""

    cursor: str = ""


class Live:
    """What one wallet may follow."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def follow(self, order: UUID | None = None, *, after: str | None = None) -> AsyncGenerator[LiveEvent, None]:
        """Events of one trade, or of all one's own, until the caller stops. Raises `Refused`.

        After `after` (the `cursor` of an event) nothing is missed and nothing comes twice. Without one it begins now:
        the first event is `Ready`, and the state that is read after it is the one that the next events change.
        `StartOver` means that events were missed which are no longer kept, so that the state must be read anew.
        Cancelling `anext()`, as `asyncio.wait_for` does, ends it, as with any asynchronous generator: every further
        `anext()` raises StopAsyncIteration. Who cannot wait for long keeps `anext()` in a task and looks at that with
        `asyncio.wait`, which cancels nothing; who was cancelled begins anew with `after`.
        """
        path = "/escrow/live" if order is None else f"/escrow/orders/{order}/live"
        pause, is_fresh = PAUSE, after is None
        while True:
            try:
                async with aclosing(self._connected(path, after)) as frames:
                    async for event in frames:
                        pause = PAUSE
                        after = event.cursor or after if isinstance(event, Anything) else str(event.cursor)
                        if isinstance(event, Beat | Anything) or (isinstance(event, Ready) and not is_fresh):
                            continue
                        is_fresh = False
                        yield event
            except Unreachable:
                pass
            except Refused as refused:
                if refused.status not in PASSING:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that a crowd does not come back at once
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _connected(self, path: str, after: str | None) -> AsyncGenerator[LiveEvent | Beat | Anything, None]:
        """One connection's frames. Raises `Refused`, and `Unreachable` where there is none."""
        query = {} if after is None else {"after": after}
        async with await self._transport.socket(path, query) as socket, aclosing(received(socket, DECODER)) as frames:
            async for frame in frames:
                yield frame


async def received(
    socket: aiohttp.ClientWebSocketResponse, decoder: msgspec.json.Decoder[Any]
) -> AsyncGenerator[Any, None]:
    """What comes over a connection until it ends: of the decoder's kinds, or `Anything`. Raises `Refused`."""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        try:
            frame = decoder.decode(message.data)
        except msgspec.ValidationError:
            frame = msgspec.json.decode(message.data, type=Anything)
        if isinstance(frame, RefusedFrame):
            problem = bytes(frame.problem)
            raise refusal(msgspec.json.decode(problem, type=Problem).status, problem, "")
        yield frame
    if (socket.close_code or 0) > REFUSED:
        raise Refused((socket.close_code or 0) - REFUSED, "stream-ended", "the server has ended the stream", {})
