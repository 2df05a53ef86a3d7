"""One HTTP request and its reply, free of any framework."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import msgspec

from entrepot.kernel.db.causal import Progress
from entrepot.kernel.http.problem import NotJson
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import ENCODER
from entrepot.kernel.wallet import Wallet

JSON = ("content-type", "application/json")
BOOKMARK, BOOKMARK_COOKIE = "entrepot-bookmark", "entrepot_bookmark"
MOST_PARAMETERS = 50
MOST_DEPTH = 64
BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)  # strings are passed over
DEEPER = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def is_deep(document: bytes) -> bool:
    """Whether JSON is nested deeper than anything we take.

    msgspec leaves that to the interpreter's recursion limit, which py_ecc (below eth-account) sets to 100,000 for the
    whole process: the C stack is at its end long before, and the process with it (msgspec issue 1033).
    """
    if document.count(b"[") + document.count(b"{") <= MOST_DEPTH:
        return False
    depth = 0
    for found in BRACKETS.finditer(document):
        depth += DEEPER.get(found[0], 0)
        if depth > MOST_DEPTH:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed in, and the hash of the token that says so."""

    wallet: Wallet
    session: bytes


@dataclass(slots=True)
class Call:
    """What an endpoint may know of a request."""

    path: dict[str, str]
    query: bytes
    headers: list[tuple[bytes, bytes]]
    client: str
    """The peer's address; it keys the rate limit and is written nowhere."""
    body: bytes = b""
    progress: Progress = field(default_factory=Progress)
    """How far in the database's history the caller has seen."""
    caller: Caller | None = None
    """Whose stream it came over, where it did. The session was looked at when that began, and is with each beat."""
    given: dict[str, object] | None = None
    """All fields of the input, those of the path too, where it came over a stream."""

    def header(self, name: bytes) -> str | None:
        """The first header of that lower-case name."""
        for known, value in self.headers:
            if known == name:
                return value.decode("latin-1")
        return None

    @property
    def token(self) -> str | None:
        """The session token, from the Authorization header or else the cookie."""
        given = self.header(b"authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            return token if scheme.lower() == "bearer" else None
        return self.cookie("entrepot_session")

    @property
    def bookmark(self) -> str | None:
        """How far the caller has seen, as it was told with its last answer: by the header or else the cookie."""
        return self.header(BOOKMARK.encode()) or self.cookie(BOOKMARK_COOKIE)

    def cookie(self, wanted: str) -> str | None:
        """The value of a cookie."""
        for part in (self.header(b"cookie") or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == wanted:
                return value
        return None

    def query_values(self) -> dict[str, str]:
        """The query string; raises `Malformed` where a name stands twice."""
        if not self.query:
            return {}
        values: dict[str, str] = {}
        try:
            pairs = parse_qsl(self.query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        except ValueError:
            raise Malformed(field="query", reason=f"has more than {MOST_PARAMETERS} parameters") from None
        for name, value in pairs:
            if name in values:
                raise Malformed(field=name, reason="is given twice")
            values[name] = value
        return values

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object; an absent body is an empty one. Raises `NotJson` and `Malformed`.

        A page of another site can send a body of any other type without asking us first; this one it cannot.
        """
        if not self.body:
            return {}
        if (self.header(b"content-type") or "").partition(";")[0].strip().lower() != JSON[1]:
            raise NotJson
        if is_deep(self.body):
            raise Malformed(field="body", reason=f"may be nested {MOST_DEPTH} deep at most")
        try:
            return msgspec.json.decode(self.body, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(field="body", reason=f"must be a JSON object ({error})") from None


@dataclass(slots=True)
class Reply:
    """What an endpoint answers."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=lambda: [JSON])
    bookmark: str = ""
    """What the caller is to bring next time, where it was told something new."""


def reply(status: int, answer: object) -> Reply:
    """A reply with the answer as JSON, or without content where there is none."""
    return Reply(204, headers=[]) if answer is None else Reply(status, ENCODER.encode(answer))
