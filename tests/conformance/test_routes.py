"""Every route of every app says what it needs, what it answers, whom it serves and what it may refuse."""

import inspect
from dataclasses import replace
from typing import get_type_hints

import msgspec
import pytest

from entrepot.kernel.app import App
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Fresh, Read, Write
from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.http.examples import example
from entrepot.kernel.http.limits import Limit
from entrepot.kernel.http.openapi import document, refusals
from entrepot.kernel.http.problem import status_of
from entrepot.kernel.http.route import OWN, Ask, BadRoute, Pace, Who
from entrepot.kernel.refusal import Refusal, slug
from entrepot.kernel.settings import Settings
from entrepot.kernel.values import read_value
from entrepot.kernel.wallet import Wallet
from tests.conformance.conftest import ENDPOINTS

DOCUMENT = document(ENDPOINTS, "Every app", "1")


def named_wallet() -> str:
    shown: str = Wallet.schema["examples"][0]
    return shown


def session_of(endpoint: Endpoint) -> dict[str, object]:
    """What its input has from the session."""
    session = {"by": named_wallet(), "session": bytes(32)}
    return {name: session[name] for name in endpoint.from_session}


def every_refusal(kind: type[Refusal] = Refusal) -> list[type[Refusal]]:
    found = [each for below in kind.__subclasses__() for each in (below, *every_refusal(below))]
    return sorted({each for each in found if each.__module__.startswith("entrepot.")}, key=lambda each: each.__name__)


def test_a_route_has_a_summary(endpoint: Endpoint) -> None:
    summary = (inspect.getdoc(endpoint.route.operation) or "").partition("\n")[0]
    assert summary.endswith("."), f"{endpoint.route.operation.__name__} has no summary of one sentence"


def test_a_route_answers_a_struct_or_nothing(endpoint: Endpoint) -> None:
    answer = endpoint.signature.answer
    assert answer is None or (isinstance(answer, type) and issubclass(answer, msgspec.Struct))
    if endpoint.signature.passes_json:
        assert answer is not None


def test_a_route_takes_an_ask_and_things_of_the_house(endpoint: Endpoint) -> None:
    hints = get_type_hints(endpoint.route.operation)
    hints.pop("return")
    known = (Read, Fresh, Write, Database, *endpoint.resources)
    parts = [kind for kind in hints.values() if kind not in known]
    structs = [kind for kind in parts if issubclass(kind, msgspec.Struct) and kind is not Settings]
    assert structs == ([] if endpoint.signature.ask is None else [endpoint.signature.ask])
    assert all(issubclass(kind, Ask) for kind in structs)


def test_a_route_says_who_may_call(endpoint: Endpoint) -> None:
    assert isinstance(endpoint.route.who, Who)
    if endpoint.route.method != "GET":
        assert endpoint.route.pace is not Pace.READ


def test_a_route_says_whose_the_thing_must_be_that_it_names(endpoint: Endpoint) -> None:
    route = endpoint.route
    if route.of:
        assert route.path_names, "nothing is named that could be another's"
        assert any(status_of(kind) == 404 for kind in route.refuses), "whoever is none of these must be told 404"


def test_what_stands_below_admin_or_monitoring_is_for_operators_and_nothing_else_is(endpoint: Endpoint) -> None:
    below = "/admin/" in endpoint.url or endpoint.url.startswith("/api/v1/monitoring/")
    assert below == (endpoint.route.who is Who.OPERATOR)


def test_a_route_that_names_a_thing_may_find_none(endpoint: Endpoint) -> None:
    if endpoint.route.path_names:
        assert any(status_of(kind) == 404 for kind in refusals(endpoint))


def test_a_route_shows_an_input_that_it_takes(endpoint: Endpoint) -> None:
    told = DOCUMENT["paths"][endpoint.url][endpoint.route.method.lower()]
    if endpoint.signature.ask is None:
        return
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {"example": {}})
    components = DOCUMENT["components"]["schemas"]
    named = {
        p["name"]: example(p["schema"], components) for p in told["parameters"] if p["required"] and p["in"] != "header"
    }
    given = {**content["example"], **named, **session_of(endpoint)}
    assert msgspec.convert(given, endpoint.signature.ask, dec_hook=read_value)


def test_a_route_that_only_reads_cannot_write(endpoint: Endpoint) -> None:
    assert endpoint.route.method != "GET" or endpoint.signature.door in (Read, Fresh, None)


def test_a_route_may_refuse_only_what_has_a_message_and_a_status(endpoint: Endpoint) -> None:
    for kind in endpoint.route.refuses:
        assert kind in every_refusal()
        assert 400 <= status_of(kind) < 500


def test_every_field_of_an_input_refuses_what_it_does_not_know(endpoint: Endpoint) -> None:
    ask = endpoint.signature.ask
    if ask is not None:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"surely_not_a_field": 1}, ask)
        assert ask.__doc__, f"{ask.__name__} says nothing of itself"


def test_no_two_routes_stand_at_one_address() -> None:
    places = [f"{e.route.method} {e.url}" for e in ENDPOINTS]
    assert len(places) == len(set(places))


def test_a_call_over_a_stream_is_declared_as_one_over_http(call: tuple[Endpoint, str, Endpoint]) -> None:
    """Whatever holds of a route holds of it, be it a call over HTTP too or not, and the document says so."""
    stream, name, taken = call
    assert stream.route.who is not Who.ANYONE
    for check in OF_ROUTES:
        check(taken)
    told = DOCUMENT["paths"][stream.url]["get"]["x-calls"][name]
    fields = set() if taken.signature.ask is None else set(taken.signature.ask.__struct_fields__)
    assert set(told["ask"]["properties"]) == fields - set(taken.from_session)
    shown = {problem["type"] for problem in told["problems"]}
    assert {f"/problems/{slug(kind)}" for kind in taken.route.refuses} <= shown
    given = {**example(told["ask"], DOCUMENT["components"]["schemas"]), **session_of(taken)}
    assert taken.signature.ask is None or msgspec.convert(given, taken.signature.ask, dec_hook=read_value)


OF_ROUTES = (
    test_a_route_has_a_summary,
    test_a_route_answers_a_struct_or_nothing,
    test_a_route_takes_an_ask_and_things_of_the_house,
    test_a_route_says_who_may_call,
    test_a_route_says_whose_the_thing_must_be_that_it_names,
    test_what_stands_below_admin_or_monitoring_is_for_operators_and_nothing_else_is,
    test_a_route_that_names_a_thing_may_find_none,
    test_a_route_that_only_reads_cannot_write,
    test_a_route_may_refuse_only_what_has_a_message_and_a_status,
    test_every_field_of_an_input_refuses_what_it_does_not_know,
)


@pytest.mark.parametrize("kind", every_refusal(), ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_message_of_its_own_that_its_facts_fill(kind: type[Refusal]) -> None:
    assert "__doc__" in vars(kind)
    assert kind.__doc__
    names = list(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    refused = kind(**{name: f"<{name}>" for name in names})
    assert "{" not in refused.message
    assert status_of(kind)


def test_a_route_that_does_not_say_who_may_call_does_not_start(app: App) -> None:
    for route in app.routes:
        with pytest.raises(TypeError):
            type(route)(method=route.method, path=route.path, operation=route.operation)  # type: ignore[call-arg]
        nobody = replace(route, who=None)  # type: ignore[arg-type]
        limits = dict.fromkeys(Pace, Limit(1))
        with pytest.raises(BadRoute, match="who may call"):
            Endpoint(nobody, app.url, ENDPOINTS[0].database, limits, {Settings: Settings()})


def test_a_route_that_does_not_say_whose_the_thing_must_be_does_not_start(app: App) -> None:
    for route in app.routes:
        other = replace(route, of=OWN if route.of is None else None)
        limits = dict.fromkeys(Pace, Limit(1))
        with pytest.raises(BadRoute, match="whose the thing"):
            Endpoint(other, app.url, ENDPOINTS[0].database, limits, {Settings: Settings()})
