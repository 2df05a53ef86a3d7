"""The endpoint of a live stream: who may listen is decided as for any other call, before the first frame."""

import logging
from functools import partial
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import msgspec

from entrepot.kernel.chain.endpoint import ChainFailure
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Fresh
from entrepot.kernel.db.pool import LOST
from entrepot.kernel.http.asgi import Receive, Send
from entrepot.kernel.http.attendance import Attendance, Roll
from entrepot.kernel.http.call import Call, Caller, Reply
from entrepot.kernel.http.calls import Calls, Note
from entrepot.kernel.http.endpoint import BUSY, Endpoint, Limits
from entrepot.kernel.http.frames import RefusedFrame, Subscription, Watch
from entrepot.kernel.http.live import Live
from entrepot.kernel.http.problem import Broken, UpgradeRequired, problem
from entrepot.kernel.http.route import BadRoute, Route, Who
from entrepot.kernel.http.socket import Socket, close
from entrepot.kernel.http.websocket import Gone, WebSocket
from entrepot.kernel.refusal import Forbidden, Refusal, Unavailable
from entrepot.kernel.supply import NotInHouse, Resources
from entrepot.kernel.values import ENCODER
from entrepot.kernel.work import outbox
from entrepot.kernel.work.outbox import Moment

LOG = logging.getLogger("entrepot.http")
REFUSED = 4000
"""Close codes of refusals are this and the status that HTTP has for them."""


class WrongOrigin(Forbidden):
    """This page may not use the session of {origin}: it is of another site."""

    origin: str


def origin(url: str) -> str:
    """Scheme and host, with the port where it is not the scheme's own."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


class StreamEndpoint(Endpoint):
    """A live route, ready to be listened to. Raises `BadRoute` when the route does not fit its operation."""

    def __init__(self, route: Route, url: str, database: Database, limits: Limits, resources: Resources) -> None:
        super().__init__(route, url, database, limits, resources)
        live = resources.get(Live)
        ask = self.signature.ask
        if not isinstance(live, Live) or ask is None or not issubclass(ask, Watch) or route.who is Who.ANYONE:
            raise BadRoute(f"live {self.url}: it takes a Watch, of somebody who is signed in")
        if self.signature.door is not Fresh or self.signature.answer is not Subscription:
            raise BadRoute(f"live {self.url}: its operation reads the primary, and answers with a Subscription")
        self.live = live
        taken = {name: Endpoint(each, url, database, limits, resources) for name, each in route.takes.items()}
        if wrong := [name for name, each in taken.items() if each.route.frames or each.route.headers is not None]:
            raise BadRoute(f"live {self.url}: {wrong[0]} is no call that a frame can answer")
        self.calls = Calls(taken, self.url, live.run, self.limit) if taken else None
        self.roll = self._roll(route.attendance, resources)

    def _roll(self, wanted: Attendance | type[Attendance] | None, resources: Resources) -> Roll | None:
        """Who is there, where somebody wants to know."""
        if wanted is None:
            return None
        attendance: Any = resources.get(wanted) if isinstance(wanted, type) else wanted
        if attendance is None:
            raise BadRoute(f"live {self.url}: its attendance is none of what its app keeps")
        try:
            roll = Roll(attendance, resources)
        except NotInHouse as missing:
            raise BadRoute(f"live {self.url}: its attendance needs {missing}, which the house has not") from None
        self.live.rolls.append(roll)
        return roll

    async def _answer(self, call: Call) -> Reply:
        """To plain HTTP: what a WebSocket would be refused with, or else that it takes one."""
        await self.subscribe(call)
        raise UpgradeRequired

    async def subscribe(self, call: Call) -> tuple[Caller, Watch, Subscription, Moment]:
        """Who listens to what, from where, and the moment before that was read. Raises a `Refusal`."""
        self.limit.count(call.client)
        self._check_origin(call)
        caller = await self._caller(call)
        ask = self._ask(self._given(call, caller))
        assert isinstance(ask, Watch)
        async with self.database.read() as db:
            seen = await outbox.now(db)
            return caller, ask, await self.route.operation(db, ask, **self.resources), seen

    def _check_origin(self, call: Call) -> None:
        """A browser sends its cookie from any page, and WebSockets know no same-origin policy: the page must be ours.

        Whoever brings the token in a header has it, and needs no origin.
        """
        page = call.header(b"origin")
        ours = origin(self.settings.public_url)
        if page is not None and call.header(b"authorization") is None and page.lower() != ours:
            raise WrongOrigin(ours)

    async def serve(self, call: Call, receive: Receive, send: Send, wire: WebSocket, note: Note | None = None) -> float:
        """One WebSocket, from its beginning to its end. Answers after how many seconds it was open.

        It is accepted, refused and closed by ASGI, and written to by `wire`. `note` is told of the calls that it makes,
        as of others.
        """
        began = perf_counter()
        await receive()  # websocket.connect
        accept: Any = {"type": "websocket.accept"}
        await send(accept)
        opened = perf_counter() - began
        try:
            caller, ask, subscription, seen = await self.subscribe(call)
            opened = perf_counter() - began
            socket = Socket(send, wire, caller, subscription, call.client)
            take = None if self.calls is None else partial(self.calls.take, note)
            await self.live.hold(socket, receive, ask.after, seen, take, self.roll)
        except Refusal as refused:
            await refuse(send, refused)
        except (*LOST, *BUSY):
            await refuse(send, Unavailable(part="database"))
        except ChainFailure:
            await refuse(send, Unavailable(part="chain"))
        except Gone:
            pass  # in the middle of what it had missed; it comes back for it
        except Exception:
            LOG.exception("live %s broke", self.url)
            await refuse(send, Broken())
        return opened


async def refuse(send: Send, refused: Refusal) -> None:
    """The problem as a frame, because browsers show no answer to a handshake, and the close code that goes with it."""
    status, _, body = problem(refused)
    frame: Any = {"type": "websocket.send", "text": ENCODER.encode(RefusedFrame(msgspec.Raw(body))).decode()}
    await send(frame)
    await close(send, REFUSED + status, type(refused).__name__)
