"""Calls over a live stream: a frame names a route, which is carried out as over HTTP and answered by a frame."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Annotated, Any

import msgspec

from entrepot.kernel.http.call import MOST_DEPTH, Call, Reply, is_deep
from entrepot.kernel.http.endpoint import Endpoint, at_fault
from entrepot.kernel.http.limits import Limit
from entrepot.kernel.http.problem import Broken, TooLarge, problem
from entrepot.kernel.http.socket import Socket
from entrepot.kernel.http.websocket import Framed, framed
from entrepot.kernel.refusal import Malformed, Refusal

LOG = logging.getLogger("entrepot.http")
AROUND = 2_048  # octets of a frame around what it asks
NOTHING = msgspec.Raw(b"{}")


class CallFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call over a stream that takes some. The reply carries its `ref`, and calls are answered as they are done."""

    call: str
    ref: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    ask: msgspec.Raw = NOTHING
    """All fields of its input, those of the path too."""
    key: str | None = None
    """What the Idempotency-Key header is over HTTP."""


class Reference(msgspec.Struct, frozen=True):
    """What is read of a frame that cannot be taken."""

    ref: Annotated[str, msgspec.Meta(max_length=64)] | None = None


FRAMES = msgspec.json.Decoder(CallFrame)
REFERENCES = msgspec.json.Decoder(Reference)
ASKS = msgspec.json.Decoder(dict[str, Any])
Run = Callable[[Coroutine[Any, Any, None]], None]
Note = Callable[[str, str, int, float], None]


class Calls:
    """What one stream takes. `run` keeps a call going when its socket is gone, as a command may be half done.

    `idle` limits what is no call at all, which no route's own limit counts.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], url: str, run: Run, idle: Limit) -> None:
        self.endpoints = dict(endpoints)
        self._urls = {name: f"{url}#{name}" for name in endpoints}
        self._most = {name: max(e.settings.body_limit, e.route.body_limit) for name, e in self.endpoints.items()}
        self._widest = max(self._most.values())
        self._run, self._idle = run, idle

    def take(self, note: Note | None, socket: Socket, text: str) -> None:
        """Begins the call that a frame asks for, or answers why not. `note` logs what was answered."""
        data = text.encode()
        try:
            frame, given = self._read(data)
        except Refusal as refused:
            socket.offer(reply_frame(self._reference(data), self._refused(socket, refused)))
            return
        socket.begin_call()
        self._run(self._carry(note, socket, frame, given))

    def _read(self, data: bytes) -> tuple[CallFrame, dict[str, Any]]:
        if len(data) > self._widest + AROUND:
            raise TooLarge(most=self._widest)
        if is_deep(data):
            raise Malformed(field="frame", reason=f"may be nested {MOST_DEPTH} deep at most")
        try:
            frame = FRAMES.decode(data)
        except msgspec.ValidationError as error:
            fault = at_fault(error)
            raise Malformed("frame" if fault.field == "body" else fault.field, fault.reason) from None
        except msgspec.DecodeError as error:
            raise Malformed(field="frame", reason=f"must be a JSON object ({error})") from None
        if frame.call not in self.endpoints:
            raise Malformed(field="call", reason=f"must be one of {', '.join(self.endpoints)}")
        if len(frame.ask) > self._most[frame.call]:
            raise TooLarge(most=self._most[frame.call])
        try:
            return frame, ASKS.decode(frame.ask)
        except msgspec.ValidationError:
            raise Malformed(field="ask", reason="must be a JSON object") from None

    def _reference(self, data: bytes) -> str | None:
        """That of a frame which cannot be taken, where it can be read for nothing."""
        if len(data) <= self._widest + AROUND and not is_deep(data):
            with suppress(msgspec.DecodeError):
                return REFERENCES.decode(data).ref
        return None

    def _refused(self, socket: Socket, refused: Refusal) -> Reply:
        """What is no call counts too, so that nobody is busy with it."""
        try:
            self._idle.count(socket.client)
        except Refusal as too_many:
            refused = too_many
        status, headers, body = problem(refused)
        return Reply(status, body, headers)

    async def _carry(self, note: Note | None, socket: Socket, frame: CallFrame, given: dict[str, Any]) -> None:
        began = perf_counter()
        headers = [] if frame.key is None else [(b"idempotency-key", frame.key.encode())]
        if socket.bookmark:
            headers.append((b"entrepot-bookmark", socket.bookmark.encode()))
        call = Call({}, b"", headers, socket.client, caller=socket.by, given=given)
        try:
            made = await self.endpoints[frame.call].respond(call)
        except Exception:
            LOG.exception("%s broke", self._urls[frame.call])
            status, more, body = problem(Broken())
            made = Reply(status, body, more)
        if made.bookmark:
            socket.bookmark = made.bookmark
        socket.end_call(reply_frame(frame.ref, made))
        if note is not None:
            note("CALL", self._urls[frame.call], made.status, perf_counter() - began)


def reply_frame(ref: str | None, made: Reply) -> Framed:
    """A `ReplyFrame`, around the JSON that is there already."""
    told = b'{"kind":"reply","ref":%b,"status":%d' % (msgspec.json.encode(ref), made.status)
    if made.body:
        told += b',"%b":%b' % (b"answer" if made.status < 400 else b"problem", made.body)
    if made.bookmark:
        told += b',"bookmark":"%b"' % made.bookmark.encode()
    return framed(told + b"}")
