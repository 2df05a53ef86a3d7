"""The OpenAPI document is valid, complete, and true of both lanes."""

import json
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from entrepot.kernel.http.openapi import document, refusals
from entrepot.kernel.http.problem import KeyReused, TooLarge, status_of
from entrepot.kernel.http.route import BadRoute, Who, read_signature
from entrepot.kernel.refusal import CommitUnknown, Forbidden, NotFound, Unauthenticated, slug
from entrepot.main import House
from tests.conftest import TestDatabase, settings_for
from tests.kernel import tally
from tests.kernel.conftest import Client, Serve


@pytest.fixture
def house(database: TestDatabase) -> House:
    made = House(settings_for(database))
    made.apps = (*made.apps, tally.APP)
    return made


@pytest.fixture
def described(house: House) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(msgspec.json.encode(document(house.endpoints(), "All", "1")))
    return made


def test_the_document_is_valid(described: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_a_document_that_is_not_valid_would_be_told(described: dict[str, Any]) -> None:
    del described["paths"]["/api/v1/tally/tallies/{name}"]["get"]["parameters"]
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) != []


def test_every_route_is_described_with_its_answer_and_all_its_refusals(house: House, described: dict[str, Any]) -> None:
    for endpoint in house.endpoints():
        told = described["paths"][endpoint.url][endpoint.route.method.lower()]
        assert told["summary"]
        answer = "204" if endpoint.signature.answer is None else str(endpoint.route.status)
        if endpoint.route.frames:
            answer = "101"
        assert answer in told["responses"]
        for kind in (*endpoint.route.refuses, *refusals(endpoint)):
            assert f"`{slug(kind)}`" in told["responses"][str(int(status_of(kind)))]["description"]
        assert ("security" in told) == (endpoint.route.who is not Who.ANYONE)
    assert sum(len(methods) for methods in described["paths"].values()) == len(house.endpoints())


def test_what_the_house_adds_to_the_refusals_is_what_can_happen(house: House) -> None:
    found = {f"{e.route.method} {e.url}": set(refusals(e)) for e in house.endpoints()}
    assert {Unauthenticated, KeyReused, TooLarge, CommitUnknown, tally.Full} <= found["POST /api/v1/tally/full"]
    assert {Unauthenticated, Forbidden, KeyReused} <= found["DELETE /api/v1/tally/tallies/{name}"]
    assert not {Unauthenticated, KeyReused, TooLarge, CommitUnknown} & found["GET /api/v1/tally/tallies/{name}"]
    assert NotFound in found["GET /api/v1/tally/tallies/{name}"]


def test_no_operation_shares_its_id(described: dict[str, Any]) -> None:
    ids = [told["operationId"] for methods in described["paths"].values() for told in methods.values()]
    assert len(ids) == len(set(ids))


def test_inputs_are_described_where_they_are_given(described: dict[str, Any]) -> None:
    raised = described["paths"]["/api/v1/tally/tallies/{name}"]["patch"]
    assert {(p["name"], p["in"]) for p in raised["parameters"]} == {("name", "path"), ("Idempotency-Key", "header")}
    body = raised["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"step", "reward"}
    assert body["additionalProperties"] is False
    listed = described["paths"]["/api/v1/tally/tallies"]["get"]["parameters"]
    assert [(p["name"], p["in"], p["required"]) for p in listed] == [("limit", "query", False)]
    assert not {"Raise", "Named", "First"} & set(described["components"]["schemas"])


def test_two_inputs_of_one_name_are_not_mixed_up(house: House) -> None:
    other = msgspec.defstruct("Named", [("other", str)], bases=(tally.Named,), frozen=True, module="elsewhere")

    async def look(_db: tally.Read, ask: other) -> None:  # type: ignore[valid-type]
        """Look at another."""

    tally_twice = tally.get("/look/{name}", look, who=Who.ANYONE)
    house.apps = (tally.App(name="tally", tables=tally.APP.tables, routes=(*tally.APP.routes, tally_twice)),)
    paths = document(house.endpoints(), "Twice", "1")["paths"]
    assert {p["name"] for p in paths["/api/v1/tally/look/{name}"]["get"]["parameters"]} == {"name", "other"}
    assert {p["name"] for p in paths["/api/v1/tally/tallies/{name}"]["get"]["parameters"]} == {"name"}


def test_json_that_does_not_say_what_it_is_does_not_start() -> None:
    async def bare(_db: tally.Read) -> tally.Json:
        """Answer whatever."""
        raise NotImplementedError

    with pytest.raises(BadRoute, match="does not say what its JSON is"):
        read_signature(bare)


def test_an_operation_that_does_not_say_what_it_answers_does_not_start() -> None:
    async def mute(_db: tally.Read):  # type: ignore[no-untyped-def]
        """Answer nothing."""

    with pytest.raises(BadRoute, match="does not say what it answers"):
        read_signature(mute)


CALLS = [
    "/tally/tallies",
    "/tally/tallies?limit=1",
    "/tally/tallies?limit=0",
    "/tally/tallies?nothing=1",
    "/tally/tallies/first",
    "/tally/tallies/first/",
    "/tally/tallies/none",
    "/tally/tallies/%C3%A9%20%2B",
    "/tally/tallies/a%2Fb",
    "/tally/tallies/a%00b",
    "/tally/nothing/first",
]


async def test_both_lanes_answer_the_same_to_the_byte(serve: Serve) -> None:
    assert await everything(serve, hot=True) == await everything(serve, hot=False)


async def everything(serve: Serve, *, hot: bool) -> list[tuple[str, int, bytes, dict[str, str]]]:
    """Status, body and headers of every call that the hot lane might take."""
    answers = []
    async with serve(hot=hot) as client:
        for path in CALLS:
            async with client.http.get(client.url + path) as answer:
                headers = {k.lower(): v for k, v in answer.headers.items() if k.lower() not in ("date", "server")}
                answers.append((path, answer.status, await answer.read(), headers))
    return answers


async def test_the_answer_is_what_the_document_says(client: Client) -> None:
    _, answer, _ = await client.call("GET", "/tally/tallies")
    assert msgspec.convert(answer, tally.Tallies, strict=True).items == [tally.Tally("first", 1)]
