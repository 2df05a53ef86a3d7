"""The only place that knows which status code a refusal has: RFC 9457 problem details."""

from http import HTTPStatus
from typing import Any

import msgspec

from entrepot.kernel import refusal
from entrepot.kernel.refusal import Refusal, slug
from entrepot.kernel.values import ENCODER

MEDIA_TYPE = "application/problem+json"


class TooLarge(Refusal):
    """The request body may hold at most {most} bytes."""

    most: int


class BodyTooSlow(Refusal):
    """The request body must be there within {within} seconds."""

    within: float


class NotJson(Refusal):
    """The request body is taken as application/json only, and its Content-Type must say so."""


class NoSuchRoute(refusal.NotFound):
    """There is nothing at this address; /api/v1/docs lists what there is."""


class MethodNotAllowed(Refusal):
    """This address does not take {method}, but {allowed}."""

    method: str
    allowed: str


class UpgradeRequired(Refusal):
    """This is a live stream: open it with a WebSocket client."""


class KeyReused(refusal.Conflict):
    """This Idempotency-Key was used before with another input; take a new key for a new command."""


class Broken(Refusal):
    """Something broke here. It was logged; nothing was changed."""


STATUS: dict[type[Refusal], HTTPStatus] = {
    refusal.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    refusal.Forbidden: HTTPStatus.FORBIDDEN,
    refusal.NotFound: HTTPStatus.NOT_FOUND,
    refusal.Conflict: HTTPStatus.CONFLICT,
    refusal.Malformed: HTTPStatus.UNPROCESSABLE_ENTITY,
    refusal.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    refusal.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    NotJson: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    UpgradeRequired: HTTPStatus.UPGRADE_REQUIRED,
    Broken: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class Problem(msgspec.Struct, frozen=True):
    """What every refused call answers: `type` is stable and for programs, `detail` is for people.

    The facts of the refusal (the field at fault, the states, the seconds to wait) stand beside these members.
    """

    type: str
    title: str
    status: int
    detail: str


def status_of(kind: type[Refusal]) -> HTTPStatus:
    """The status code of a kind of refusal, which is that of its nearest known ancestor."""
    for ancestor in kind.__mro__:
        if ancestor in STATUS:
            return STATUS[ancestor]
    raise LookupError(f"{kind.__name__} is of no kind that has a status code")


def problem(refused: Refusal) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body."""
    status = status_of(type(refused))
    body: dict[str, Any] = {
        **refused.facts,
        "type": f"/problems/{slug(type(refused))}",
        "title": status.phrase,
        "status": int(status),
        "detail": refused.message,
    }
    headers = [("content-type", MEDIA_TYPE)]
    if isinstance(refused, refusal.TooMany):
        headers.append(("retry-after", str(refused.retry_after)))
    if isinstance(refused, BodyTooSlow):
        headers.append(("connection", "close"))  # what comes yet is waited for by nobody
    if isinstance(refused, UpgradeRequired):
        headers.append(("upgrade", "websocket"))
    if isinstance(refused, MethodNotAllowed):
        headers.append(("allow", refused.allowed))
    if isinstance(refused, refusal.Unauthenticated):
        headers.append(("www-authenticate", "Bearer"))
    return int(status), headers, ENCODER.encode(body)
