"""The OpenAPI 3.1 document, made from the same routes and structs that answer: it cannot say anything else."""

import inspect
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from entrepot.kernel.db.doors import Write
from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.http.examples import NoExample, example
from entrepot.kernel.http.frames import OF_THE_HOUSE, ReplyFrame
from entrepot.kernel.http.problem import (
    MEDIA_TYPE,
    BodyTooSlow,
    KeyReused,
    NoSuchRoute,
    NotJson,
    Problem,
    TooLarge,
    UpgradeRequired,
    status_of,
)
from entrepot.kernel.http.route import FROM_SESSION, Ask, Route, Who
from entrepot.kernel.http.stream import StreamEndpoint, WrongOrigin
from entrepot.kernel.refusal import (
    CommitUnknown,
    Forbidden,
    Malformed,
    NotFound,
    Refusal,
    TooMany,
    Unauthenticated,
    Unavailable,
    slug,
)
from entrepot.kernel.values import describe_value

REFERENCE = "#/components/schemas/{name}"

HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    429: {"Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}},
}
TOO_LONG = "- Plain text where the address is longer than 65,535 octets: the server's own answer."


def refusals(endpoint: Endpoint) -> list[type[Refusal]]:
    """Everything that a call may be refused with: what its route declares and what the house adds."""
    route = endpoint.route
    found: list[type[Refusal]] = [TooMany, Unavailable, Malformed, *route.refuses]
    if route.who is not Who.ANYONE:
        found.append(Unauthenticated)
    if route.who is Who.OPERATOR:
        found.append(Forbidden)
    if endpoint.signature.may_be_missing:
        found.append(NotFound)
    if route.path_names:
        found.append(NoSuchRoute)  # a name with a slash in it leads elsewhere
    if endpoint.signature.door is Write:
        found.append(CommitUnknown)
    if takes_key(endpoint):
        found.append(KeyReused)
    if route.has_body:
        found += [TooLarge, BodyTooSlow, NotJson]
    if route.frames:
        found += [WrongOrigin, UpgradeRequired]
    return list(dict.fromkeys(found))


def answers(endpoint: Endpoint) -> tuple[Any, ...]:
    """The structs that it answers with: of a live stream, its frames and the house's own."""
    frames = endpoint.route.frames
    of_calls = (ReplyFrame,) if endpoint.route.takes else ()
    return (*frames, *OF_THE_HOUSE, *of_calls) if frames else (endpoint.signature.answer,)


def taken(endpoint: Endpoint) -> dict[str, Endpoint]:
    """The calls that it takes, where it is a live stream that takes some."""
    return endpoint.calls.endpoints if isinstance(endpoint, StreamEndpoint) and endpoint.calls is not None else {}


def takes_key(endpoint: Endpoint) -> bool:
    """Whether an Idempotency-Key is honoured."""
    return endpoint.signature.door is Write and endpoint.route.who is not Who.ANYONE


def callers(route: Route) -> str:
    """Who may call, in words."""
    whose = " or ".join(party.value for party in route.of or ())
    return f"{route.who}, as its {whose}" if whose else str(route.who)


def document(endpoints: Sequence[Endpoint], title: str, version: str) -> dict[str, Any]:
    """The whole document, as JSON-ready data."""
    all_of_them = [each for e in endpoints for each in (e, *taken(e).values())]
    structs = [kind for e in all_of_them for kind in (e.signature.ask, *answers(e)) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*structs, Problem], schema_hook=describe_value, ref_template=REFERENCE
    )
    by_struct = dict(zip([*structs, Problem], schemas, strict=True))
    inputs = {kind: _name(schema) for kind, schema in by_struct.items() if issubclass(kind, Ask)}
    asks = {kind: components[name] for kind, name in inputs.items()}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, by_struct, asks, components)
        paths.setdefault(endpoint.url, {})[endpoint.route.method.lower()] = operation
    used = {name: schema for name, schema in components.items() if name not in inputs.values()}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": used,
            "securitySchemes": {
                "session": {"type": "http", "scheme": "bearer", "description": "The token that /auth/verify answers"}
            },
        },
    }


def _name(reference: dict[str, Any]) -> str:
    """The component behind a reference; structs of one name in two modules have longer ones."""
    return str(reference["$ref"]).rpartition("/")[2]


def _operation(
    endpoint: Endpoint, by_struct: dict[Any, Any], asks: dict[Any, Any], components: dict[str, Any]
) -> dict[str, Any]:
    route = endpoint.route
    told = inspect.getdoc(route.operation) or ""
    summary, _, more = told.partition("\n")
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", route.method.lower() + endpoint.url.removeprefix("/api/v1")).strip("_"),
        "summary": summary.strip().rstrip("."),
        "description": f"Who may call: {callers(route)}. {more.strip()}".strip(),
        "tags": [endpoint.url.split("/")[3]],
        "parameters": _parameters(endpoint, asks),
        "responses": _responses(endpoint, by_struct),
    }
    if route.who is not Who.ANYONE:
        described["security"] = [{"session": []}]
    body = _body(endpoint, asks, components)
    if body is not None:
        described["requestBody"] = body
    if calls := taken(endpoint):
        described["x-calls"] = {name: _call(each, by_struct, asks) for name, each in calls.items()}
    return described


def _call(endpoint: Endpoint, by_struct: dict[Any, Any], asks: dict[Any, Any]) -> dict[str, Any]:
    """A call over a stream: what a frame asks, and what the reply's `answer` is."""
    properties, required = _fields(endpoint, asks)
    answer = endpoint.signature.answer
    possible = set(refusals(endpoint)) - {NotJson, NoSuchRoute}
    refused = sorted({(int(status_of(kind)), slug(kind)) for kind in possible})
    return {
        "summary": (inspect.getdoc(endpoint.route.operation) or "").partition("\n")[0].strip().rstrip("."),
        "description": f"Who may call: {callers(endpoint.route)}.",
        "ask": {"type": "object", "properties": properties, "required": required, "additionalProperties": False},
        "status": 204 if answer is None else endpoint.route.status,
        **({} if answer is None else {"answer": by_struct[answer]}),
        "key": "required" if endpoint.route.needs_key else "optional" if takes_key(endpoint) else "none",
        "problems": [{"status": status, "type": f"/problems/{name}"} for status, name in refused],
    }


def _fields(endpoint: Endpoint, asks: dict[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    if endpoint.signature.ask is None:
        return {}, []
    schema = asks[endpoint.signature.ask]
    properties = {name: field for name, field in schema["properties"].items() if name not in FROM_SESSION}
    return properties, [name for name in schema.get("required", ()) if name not in FROM_SESSION]


def _parameters(endpoint: Endpoint, asks: dict[Any, Any]) -> list[dict[str, Any]]:
    properties, required = _fields(endpoint, asks)
    found: list[dict[str, Any]] = []
    for name, schema in properties.items():
        if name in endpoint.route.path_names:
            found.append({"name": name, "in": "path", "required": True, "schema": schema})
        elif not endpoint.route.has_body:
            found.append({"name": name, "in": "query", "required": name in required, "schema": schema})
    if takes_key(endpoint):
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append(
            {"name": "Idempotency-Key", "in": "header", "required": endpoint.route.needs_key, "schema": schema}
        )
    return found


def _body(endpoint: Endpoint, asks: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any] | None:
    properties, required = _fields(endpoint, asks)
    inside = {name: schema for name, schema in properties.items() if name not in endpoint.route.path_names}
    if not endpoint.route.has_body or not inside:
        return None
    needed = [name for name in required if name in inside]
    schema = {"type": "object", "properties": inside, "required": needed, "additionalProperties": False}
    content = {"schema": schema}
    with suppress(NoExample):  # a conformance test asks for one; the document is true without it
        content["example"] = example(schema, components)
    return {"required": bool(needed), "content": {"application/json": content}}


def _responses(endpoint: Endpoint, by_struct: dict[Any, Any]) -> dict[str, Any]:
    answer = endpoint.signature.answer
    found: dict[str, Any] = {}
    if endpoint.route.frames:
        content = {"application/json": {"schema": {"oneOf": [by_struct[kind] for kind in answers(endpoint)]}}}
        told = "A WebSocket; each of its messages is one of these."
        if endpoint.route.takes:
            told += (
                ' It takes the calls in `x-calls`: {"call": their name, "ref": yours, "ask": the input, "key": ...}.'
            )
        found["101"] = {"description": told, "content": content}
    elif answer is None:
        found["204"] = {"description": "Done; there is nothing to answer."}
    else:
        content = {"application/json": {"schema": by_struct[answer]}}
        found[str(endpoint.route.status)] = {"description": "The answer.", "content": content}
    by_status: dict[int, list[type[Refusal]]] = {}
    for refused in refusals(endpoint):
        by_status.setdefault(int(status_of(refused)), []).append(refused)
    for status, kinds in sorted(by_status.items()):
        told = "\n".join(f"- `{slug(kind)}`: {' '.join((kind.__doc__ or '').split())}" for kind in kinds)
        found[str(status)] = {"description": told, "content": {MEDIA_TYPE: {"schema": by_struct[Problem]}}}
        if status in HEADERS:
            found[str(status)]["headers"] = HEADERS[status]
    if endpoint.route.path_names or not endpoint.route.has_body:
        unread = found.setdefault("400", {"description": "", "content": {}})
        unread["description"] = f"{unread['description']}\n{TOO_LONG}".strip()
        unread["content"]["text/plain"] = {"schema": {"type": "string"}}
    return dict(sorted(found.items()))
