"""One server over HTTP: input structs to requests, answers to structs, refusals to exceptions, and patience.

What is worth asking again is asked again: a lost answer, and 429, 502, 503 and 504, after the time that the server
names. A command has one idempotency key however often it is sent, so it is carried out once.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from uuid import uuid4

import aiohttp
import msgspec
import stamina

from entrepot.client.failures import Refused, Unreachable
from entrepot.kernel.db.causal import later
from entrepot.kernel.http.call import BOOKMARK
from entrepot.kernel.http.route import FROM_SESSION, Ask
from entrepot.kernel.values import read_value, write_value

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A", bound=Ask)
PAGE = 100
"""How many of a list are asked for at a time."""
NAMES = re.compile(r"{(\w+)}")
HEARTBEAT = 20.0  # seconds between two questions whether the other side of a WebSocket is still there
PASSING = frozenset({429, 502, 503, 504})
PROBLEM = frozenset({"type", "title", "status", "detail"})


def asked(kind: type[A], **given: object) -> A:
    """The input of a call, checked as the server checks it. Raises msgspec.ValidationError, which names the field."""
    named = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    return msgspec.convert(msgspec.to_builtins(named, enc_hook=write_value), kind, dec_hook=read_value)


class Page(Protocol[T_co]):
    """One of a list, and where the next begins."""

    @property
    def items(self) -> Sequence[T_co]: ...

    @property
    def next_cursor(self) -> str | None: ...


class Transport:
    """Calls of one server. `attempts` are made of each, `longest` seconds apart at most."""

    def __init__(self, url: str, *, attempts: int = 6, longest: float = 60.0, timeout: float = 30.0) -> None:
        self.url, self.token = url.rstrip("/"), ""
        self.bookmark = ""
        """How far this client has seen, as the server told it: no replica shows it less."""
        self.attempts, self._longest = attempts, longest
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def get(self, path: str, ask: Ask, answer: type[T]) -> T:
        """A read. The fields of the input that the path does not name are the query."""
        given = _fields(ask)
        query = {name: str(value) for name, value in given.items() if value is not None and name not in _names(path)}
        return await self.patiently(partial(self._once, "GET", path.format(**given), answer, params=query))

    async def pages(self, path: str, ask: Ask, page: type[Page[T]]) -> AsyncIterator[Sequence[T]]:
        """The items of a list, page after page, from the one that is asked for on."""
        while True:
            found = await self.get(path, ask, page)
            yield found.items
            if found.next_cursor is None:
                return
            ask = asked(type(ask), **(msgspec.structs.asdict(ask) | {"cursor": found.next_cursor}))

    async def every(self, path: str, ask: Ask, page: type[Page[T]]) -> AsyncIterator[T]:
        """All items of a list."""
        async for items in self.pages(path, ask, page):
            for each in items:
                yield each

    async def command(
        self, method: str, path: str, ask: Ask, answer: type[T], *, key: str = "", again: bool = True
    ) -> T:
        """A command. `key` is its idempotency key, a new one where none is given; without `again`, a lost answer or an
        overloaded server is not asked a second time.
        """
        given = _fields(ask)
        body = {name: value for name, value in given.items() if name not in _names(path)}
        more: dict[str, Any] = {"params": body} if method == "DELETE" else {"data": msgspec.json.encode(body)}
        headers = {"Idempotency-Key": key or str(uuid4()), "Content-Type": "application/json"}
        once = partial(self._once, method, path.format(**given), answer, headers=headers, **more)
        return await self.patiently(once, again=again)

    async def socket(self, path: str, query: Mapping[str, str]) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket, to be closed by whoever asked. Raises `Unreachable` where none can be had."""
        if self._http is None:
            raise RuntimeError("open the client first: async with Client(...) as client")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            url = f"{self.url}/api/v1{path}"
            given: dict[str, Any] = {"params": query, "headers": headers, "heartbeat": HEARTBEAT, "max_msg_size": 0}
            opened: aiohttp.ClientWebSocketResponse = await self._http.ws_connect(url, **given)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{path}: {str(error) or type(error).__name__}") from None
        return opened

    def has_seen(self, bookmark: str) -> None:
        """The server has shown this client that much."""
        if bookmark:
            self.bookmark = later(self.bookmark, bookmark)

    async def patiently(self, once: Callable[[], Awaitable[T]], *, again: bool = True) -> T:
        """What `once` answers, asked for again while it is worth it, unless `again` forbids that."""

        def worth_a_wait(error: Exception) -> bool | float:
            if not again or not isinstance(error, Refused):
                return again and isinstance(error, Unreachable)
            if error.status not in PASSING or (error.wait or 0) > self._longest:
                return False
            return True if error.wait is None else error.wait

        tries = stamina.retry_context(on=worth_a_wait, attempts=self.attempts, timeout=None, wait_max=self._longest)
        async for attempt in tries:
            with attempt:
                return await once()
        raise AssertionError("stamina ends with a result or an error")

    async def _once(self, method: str, path: str, answer: type[T], **more: Any) -> T:
        if self._http is None:
            raise RuntimeError("open the client first: async with Client(...) as client")
        # A body is read once and this may be sent again, and aiohttp warns of large ones that are bytes.
        if "data" in more:
            more["data"] = BytesIO(more["data"])
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        headers |= {BOOKMARK: self.bookmark} if self.bookmark else {}
        try:
            url = f"{self.url}/api/v1{path}"
            async with self._http.request(method, url, headers=headers, **more) as given:
                body = await given.read()
                self.has_seen(given.headers.get(BOOKMARK, ""))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{method} {path}: {str(error) or type(error).__name__}") from None
        if given.status >= 400:
            raise refusal(given.status, body, given.headers.get("Retry-After", ""))
        return msgspec.json.decode(body or b"null", type=answer, dec_hook=read_value)


def refusal(status: int, body: bytes, wait: str) -> Refused:
    """The refusal that an answer holds, be it a problem document or a proxy's page."""
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = {}
    name = str(told.get("type", "about:blank")).removeprefix("/problems/")
    detail = str(told.get("detail", body[:200].decode(errors="replace")))
    facts = {fact: value for fact, value in told.items() if fact not in PROBLEM}
    return Refused(status, name, detail, facts, wait=float(wait) if wait.isdecimal() else None)


def _fields(ask: Ask) -> dict[str, Any]:
    """Everything that the session does not say."""
    given: dict[str, Any] = msgspec.to_builtins(ask, enc_hook=write_value)
    return {name: value for name, value in given.items() if name not in FROM_SESSION}


def _names(path: str) -> list[str]:
    return NAMES.findall(path)
