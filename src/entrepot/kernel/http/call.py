"""One HTTP request and its reply, free of any framework."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import msgspec

from entrepot.kernel.refusal import Malformed
from entrepot.kernel.values import ENCODER

JSON = ("content-type", "application/json")


@dataclass(slots=True)
class Call:
    """What an endpoint may know of a request."""

    path: dict[str, str]
    query: bytes
    headers: list[tuple[bytes, bytes]]
    client: str
    """The peer's address; it keys the rate limit and is written nowhere."""
    body: bytes = b""

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
        for part in (self.header(b"cookie") or "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "entrepot_session":
                return value
        return None

    def query_values(self) -> dict[str, str]:
        """The query string; raises `Malformed` where a name stands twice."""
        if not self.query:
            return {}
        values: dict[str, str] = {}
        for name, value in parse_qsl(self.query.decode("latin-1"), keep_blank_values=True, max_num_fields=50):
            if name in values:
                raise Malformed(field=name, reason="is given twice")
            values[name] = value
        return values

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object; an absent body is an empty one. Raises `Malformed`."""
        if not self.body:
            return {}
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


def reply(status: int, answer: object) -> Reply:
    """A reply with the answer as JSON, or without content where there is none."""
    return Reply(204, headers=[]) if answer is None else Reply(status, ENCODER.encode(answer))
