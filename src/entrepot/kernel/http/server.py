"""The ASGI application: Litestar for every route, and a lane of its own for the hot reads.

A hot read (anyone may call it, PostgreSQL makes its JSON) is answered by the same endpoint before Litestar sees the
request, because Litestar's share of such a request would be the largest: docs/decisions/0001-http-layer.md.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import Any

from litestar import Litestar, Request, Response, WebSocket
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.exceptions import MethodNotAllowedException as LitestarMethod
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrepot.kernel.db.causal import LIFETIME
from entrepot.kernel.http.call import BOOKMARK, BOOKMARK_COOKIE, Call, Reply
from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.http.log import AccessLog
from entrepot.kernel.http.problem import BodyTooSlow, Broken, MethodNotAllowed, NoSuchRoute, TooLarge, problem
from entrepot.kernel.http.route import Who
from entrepot.kernel.http.stream import StreamEndpoint
from entrepot.kernel.http.websocket import EXTENSION
from entrepot.kernel.refusal import Malformed, Refusal
from entrepot.kernel.settings import Settings

LOG = logging.getLogger("entrepot.http")
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]
Headers = list[tuple[bytes, bytes]]


def refuse(refused: Refusal) -> Reply:
    """A refusal that no endpoint made."""
    status, headers, body = problem(refused)
    return Reply(status, body, headers)


def client_of(scope: Any, trusted_proxies: int) -> str:
    """The caller's address: the peer's, or what the outermost trusted proxy saw."""
    if trusted_proxies:
        told = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
        if told:
            hops = [hop.strip() for hop in told.split(",")]
            return hops[-min(trusted_proxies, len(hops))]
    peer = scope.get("client")
    return str(peer[0]) if peer else ""


async def read_body(receive: Receive, most: int, within: float) -> bytes:
    """The whole body; raises `TooLarge` as soon as it is, and `BodyTooSlow` where it takes more than those seconds."""
    try:
        async with asyncio.timeout(within):
            return await _read_body(receive, most)
    except TimeoutError:
        raise BodyTooSlow(within=within) from None


async def _read_body(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            raise Malformed(field="body", reason="ended before it was whole")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooLarge(most=most)
        if not message.get("more_body", False):
            return b"".join(parts)


class HotLane:
    """Answers the hot reads; everything else goes on to Litestar."""

    def __init__(self, litestar: ASGIApp, endpoints: Sequence[Endpoint], log: AccessLog, settings: Settings) -> None:
        self.litestar = litestar
        self.log = log
        self.trusted_proxies = settings.trusted_proxies
        self.cookie_ends = f"; Path=/; HttpOnly; SameSite=Strict; Max-Age={LIFETIME}"
        self.cookie_ends += "; Secure" if settings.is_secure else ""
        self.exact: dict[str, Endpoint] = {}
        self.below: dict[str, Endpoint] = {}
        taken = {endpoint.url for endpoint in endpoints if "{" not in endpoint.url}
        for endpoint in filter(is_hot, endpoints):
            head, _, tail = endpoint.url.rpartition("/")
            if "{" not in endpoint.url:
                self.exact[endpoint.url] = endpoint
            elif tail.startswith("{") and "{" not in head and not any(url.startswith(head + "/") for url in taken):
                self.below[head] = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] == "GET":
            path = scope["path"]
            endpoint, given = self.exact.get(path), {}
            if endpoint is None:
                head, _, tail = path.rpartition("/")
                endpoint = self.below.get(head) if tail else None
                given = {} if endpoint is None else {endpoint.route.path_names[0]: tail}
            if endpoint is not None:
                await self.answer(endpoint, given, scope, send)
                return
        await self.litestar(scope, receive, send)

    async def answer(self, endpoint: Endpoint, given: dict[str, str], scope: Any, send: Send) -> None:
        """One hot read."""
        began = perf_counter()
        headers: Headers = scope["headers"]
        call = Call(given, scope["query_string"], headers, client_of(scope, self.trusted_proxies))
        answer = await faultless(endpoint, call)
        start: Any = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(b"content-length", str(len(answer.body)).encode())]
            + [(name.encode(), value.encode("latin-1")) for name, value in answer.headers],
        }
        if answer.bookmark:
            cookie = f"{BOOKMARK_COOKIE}={answer.bookmark}{self.cookie_ends}"
            start["headers"] += [(BOOKMARK.encode(), answer.bookmark.encode()), (b"set-cookie", cookie.encode())]
        body: Message = {"type": "http.response.body", "body": answer.body, "more_body": False}
        await send(start)
        await send(body)
        self.log.request("GET", endpoint.url, answer.status, perf_counter() - began)


def is_hot(endpoint: Endpoint) -> bool:
    """Whether the hot lane takes it."""
    return endpoint.route.method == "GET" and endpoint.route.who is Who.ANYONE and endpoint.signature.passes_json


async def faultless(endpoint: Endpoint, call: Call) -> Reply:
    """The endpoint's reply; a fault is logged with its trace and answered without one."""
    try:
        return await endpoint.respond(call)
    except Exception:
        LOG.exception("%s %s broke", endpoint.route.method, endpoint.url)
        return refuse(Broken())


def handler(endpoint: Endpoint, log: AccessLog, settings: Settings) -> HTTPRouteHandler:
    """The Litestar handler of an endpoint."""

    async def handle(request: Request[Any, Any, Any]) -> Response[bytes]:
        began = perf_counter()
        path = {name: str(value) for name, value in request.path_params.items()}
        scope: Any = request.scope
        call = Call(path, scope["query_string"], scope["headers"], client_of(scope, settings.trusted_proxies))
        try:
            if endpoint.route.has_body:
                call.body = await read_body(
                    request.receive, max(settings.body_limit, endpoint.route.body_limit), settings.body_timeout
                )
            answer = await faultless(endpoint, call)
        except Refusal as refused:
            answer = refuse(refused)
        log.request(endpoint.route.method, endpoint.url, answer.status, perf_counter() - began)
        return respond(answer, is_secure=settings.is_secure)

    path = endpoint.url.replace("}", ":str}")
    return HTTPRouteHandler(path, http_method=endpoint.route.method, status_code=endpoint.route.status)(handle)  # type: ignore[arg-type]


def stream_handler(endpoint: StreamEndpoint, log: AccessLog, settings: Settings) -> WebsocketRouteHandler:
    """The Litestar handler of a live stream. Its log line tells what the handshake cost; 101 is what it came to."""

    async def handle(socket: WebSocket[Any, Any, Any]) -> None:
        path = {name: str(value) for name, value in socket.path_params.items()}
        scope: Any = socket.scope
        call = Call(path, scope["query_string"], scope["headers"], client_of(scope, settings.trusted_proxies))
        opened = await endpoint.serve(call, socket.receive, socket.send, scope["extensions"][EXTENSION], log.request)
        log.request("WS", endpoint.url, 101, opened)

    return WebsocketRouteHandler(endpoint.url.replace("}", ":str}"))(handle)


def respond(answer: Reply, *, is_secure: bool = False) -> Response[bytes]:
    """A reply as Litestar sends it; its cookies go by https alone where it `is_secure`."""
    media = next((value for name, value in answer.headers if name == "content-type"), "application/json")
    response = Response(answer.body, status_code=answer.status, media_type=media)
    for name, value in answer.headers:
        if name == "set-cookie":
            response.headers.setdefault(name, value)
        elif name != "content-type":
            response.headers[name] = value
    if answer.bookmark:
        response.headers[BOOKMARK] = answer.bookmark
        response.set_cookie(
            BOOKMARK_COOKIE,
            answer.bookmark,
            path="/",
            httponly=True,
            samesite="strict",
            secure=is_secure,
            max_age=LIFETIME,
        )
    return response


def of_framework(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What Litestar itself refuses, in our words."""
    if isinstance(error, LitestarMethod):
        allowed = ", ".join(sorted((error.headers or {}).get("allow", "").split(", ")))
        return respond(refuse(MethodNotAllowed(request.method, allowed)))
    if isinstance(error, HTTPException) and error.status_code < 500:
        return respond(refuse(NoSuchRoute()))
    LOG.error("the framework broke", exc_info=error)
    return respond(refuse(Broken()))


def build(
    endpoints: Sequence[Endpoint],
    settings: Settings,
    more: Sequence[Any] = (),
    lifespan: Sequence[Lifespan] = (),
) -> ASGIApp:
    """The application; `more` are Litestar handlers that are no routes, such as the documentation pages."""
    log = AccessLog()
    streams = [stream_handler(each, log, settings) for each in endpoints if isinstance(each, StreamEndpoint)]
    app = Litestar(
        route_handlers=[*(handler(endpoint, log, settings) for endpoint in endpoints), *streams, *more],
        exception_handlers={Exception: of_framework},
        openapi_config=None,
        logging_config=None,
        lifespan=list(lifespan),
        on_shutdown=[log.flush],
        request_max_body_size=None,
    )
    return HotLane(app, endpoints, log, settings)
