"""HTTP: whatever is sent, the answer is what was declared or a problem that names what is wrong."""

import asyncio
import json
import logging
from http import HTTPStatus

import asyncpg
import pytest

from entrepot.kernel.http.problem import MEDIA_TYPE
from tests.kernel.conftest import OPERATOR, WALLET, Client, Serve

JSON = {"Content-Type": "application/json"}
KILL = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'entrepot_server'"


async def problem(client: Client, method: str, path: str, **more: object) -> dict[str, object]:
    """The problem that a call is answered with, checked for its form."""
    status, answer, headers = await client.call(method, path, **more)
    assert headers["content-type"] == MEDIA_TYPE
    assert answer["status"] == status
    assert answer["title"] == HTTPStatus(status).phrase
    assert answer["type"].startswith("/problems/")
    assert answer["detail"]
    found: dict[str, object] = answer
    return found


async def test_a_command_is_carried_out_and_answered(client: Client) -> None:
    ask = {"name": "a", "step": 3, "reward": WALLET}
    assert (await client.call("POST", "/tally/tallies", json=ask))[:2] == (201, {"name": "a", "count": 3})
    assert (await client.call("PATCH", "/tally/tallies/a", json={}))[:2] == (200, {"name": "a", "count": 4})
    assert (await client.call("GET", "/tally/tallies/a"))[:2] == (200, {"name": "a", "count": 4})


@pytest.mark.parametrize("path", ["/nowhere", "/tally", "/tally/tallies/first/more", "/tally/full/", "/../etc/passwd"])
async def test_there_is_nothing_at_another_address(client: Client, path: str) -> None:
    found = await problem(client, "GET", path)
    assert found["status"] in (404, 405)


async def test_a_thing_that_is_not_there_is_not_found(client: Client) -> None:
    found = await problem(client, "GET", "/tally/tallies/none")
    assert (found["status"], found["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/tally/tallies"), ("POST", "/tally/tallies/first"), ("GET", "/tally/full")]
)
async def test_an_address_takes_its_own_methods_only(client: Client, method: str, path: str) -> None:
    found = await problem(client, method, path)
    assert (found["status"], found["method"]) == (405, method)


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 1}, "name"),
        ({"name": None}, "name"),
        ({"name": "n" * 201}, "name"),
        ({"name": "nul \0 inside"}, "name"),
        ({"name": "a", "step": 0}, "step"),
        ({"name": "a", "step": "1"}, "step"),
        ({"name": "a", "step": 1.5}, "step"),
        ({"name": "a", "step": 10**30}, "step"),
        ({"name": "a", "reward": "0x12"}, "reward"),
        ({"name": "a", "reward": WALLET.replace("B", "b")}, "reward"),
        ({"name": "a", "surplus": 1}, "surplus"),
        ({"name": "a", "by": OPERATOR}, "by"),
        ({"name": "a", "session": "AA=="}, "session"),
    ],
)
async def test_a_bad_field_is_refused_by_name_and_nothing_is_written(
    client: Client, owner: asyncpg.Connection, ask: dict[str, object], field: str
) -> None:
    found = await problem(client, "POST", "/tally/tallies", json=ask)
    assert (found["status"], found["field"]) == (422, field)
    assert str(found["detail"]).startswith(f"{field}: ")
    assert await owner.fetchval("SELECT count(*) FROM tally.tallies") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"name=a",
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b"{1: 2}",
        b'{"name": ' + b"[" * 100000,
        b'{"name": ' + b"[" * 50000 + b"]" * 50000 + b"}",
    ],
    ids=lambda body: repr(body[:12]),
)
async def test_a_body_that_is_no_json_object_is_refused(client: Client, body: bytes) -> None:
    found = await problem(client, "POST", "/tally/tallies", data=body, headers=JSON)
    assert found["status"] == 422


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("page=2", "page"),
        ("&".join(f"a{n}=1" for n in range(60)), "query"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(client: Client, query: str, field: str) -> None:
    found = await problem(client, "GET", f"/tally/tallies?{query}")
    assert (found["status"], found["field"]) == (422, field)


async def test_a_name_in_the_path_that_cannot_be_stored_is_refused(client: Client) -> None:
    found = await problem(client, "GET", "/tally/tallies/a%00b")
    assert (found["status"], found["field"]) == (422, "name")


async def test_what_the_path_says_cannot_be_said_again(client: Client) -> None:
    found = await problem(client, "PATCH", "/tally/tallies/first", json={"name": "other"})
    assert (found["status"], found["field"]) == (422, "name")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
async def test_a_body_that_is_not_said_to_be_json_is_refused(client: Client, kind: str) -> None:
    body = b'{"name": "unsaid"}'
    found = await problem(client, "POST", "/tally/tallies", data=body, headers={"Content-Type": kind})
    assert (found["status"], found["type"]) == (415, "/problems/not-json")
    assert (await client.call("GET", "/tally/tallies/unsaid"))[0] == 404


async def test_a_body_may_say_in_which_charset_its_json_is(client: Client) -> None:
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await client.call("POST", "/tally/tallies", data=b'{"name": "said"}', headers=kind))[0] == 201


@pytest.mark.parametrize("sent", ["whole", "in parts"])
async def test_a_body_that_is_too_large_is_refused(serve: Serve, sent: str) -> None:
    async def parts() -> object:
        for _ in range(20):
            yield b"x" * 100

    async with serve(body_limit=1000) as client:
        just_right = b'{"name": "a"}'.ljust(1000)
        assert (await client.call("POST", "/tally/tallies", data=just_right, headers=JSON))[0] == 201
        found = await problem(client, "POST", "/tally/tallies", data=b"x" * 2000 if sent == "whole" else parts())
        assert (found["status"], found["most"]) == (413, 1000)


@pytest.mark.parametrize(
    "given", [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}]
)
async def test_a_call_without_a_session_is_refused(client: Client, given: dict[str, str]) -> None:
    async with client.http.post(client.url + "/tally/tallies", headers=given, json={"name": "a"}) as answer:
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert (await answer.json(content_type=None))["type"] == "/problems/unauthenticated"


async def test_a_session_by_cookie_will_do(client: Client) -> None:
    cookie = {"Cookie": f"theme=dark; entrepot_session={WALLET}"}
    async with client.http.post(client.url + "/tally/tallies", headers=cookie, json={"name": "a"}) as answer:
        assert answer.status == 201


async def test_what_operators_may_is_forbidden_to_others(client: Client, owner: asyncpg.Connection) -> None:
    assert (await problem(client, "DELETE", "/tally/tallies/first"))["status"] == 403
    assert await owner.fetchval("SELECT count(*) FROM tally.tallies") == 1
    assert (await client.call("DELETE", "/tally/tallies/first", token=OPERATOR))[0] == 204
    assert await owner.fetchval("SELECT count(*) FROM tally.tallies") == 0


@pytest.mark.parametrize("path", ["/tally/broken", "/tally/sneaky"])
async def test_a_fault_is_answered_without_its_reason_and_logged_with_it(
    client: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.ERROR, "entrepot.http"):
        found = await problem(client, "GET", path)
    assert found == {
        "type": "/problems/broken",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Something broke here. It was logged; nothing was changed.",
    }
    (record,) = caplog.records
    assert record.exc_info is not None
    assert f"GET /api/v1{path}" in record.getMessage()


async def test_a_statement_that_waits_too_long_for_a_lock_is_no_fault(
    client: Client, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "ALTER ROLE entrepot_server IN DATABASE {} SET lock_timeout = '100ms'".format(
            await owner.fetchval("SELECT current_database()")
        )
    )
    await owner.execute(KILL)
    async with owner.transaction():
        await owner.execute("LOCK TABLE tally.tallies")
        found = await problem(client, "POST", "/tally/tallies", json={"name": "a"})
    assert (found["status"], found["part"]) == (503, "database")


async def test_connections_that_are_killed_between_calls_are_noticed_by_nobody(
    client: Client, owner: asyncpg.Connection
) -> None:
    for number in range(40):
        await owner.execute(KILL)
        assert (await client.call("GET", "/tally/tallies/first"))[0] == 200
        await owner.execute(KILL)
        assert (await client.call("POST", "/tally/tallies", json={"name": "a"}))[1]["count"] == number + 1


async def test_transactions_that_collide_are_tried_again(client: Client, owner: asyncpg.Connection) -> None:
    """Two callers who raise the same two tallies in opposite order by one statement each would be a deadlock."""
    calls = [client.call("POST", "/tally/tallies", json={"name": f"n{n % 3}"}) for n in range(60)]
    assert {status for status, _, _ in await asyncio.gather(*calls)} == {201}
    assert await owner.fetchval("SELECT sum(count) FROM tally.tallies WHERE name <> 'first'") == 60


async def test_the_access_log_tells_the_route_and_never_who_asked_for_what(client: Client) -> None:
    await client.call("GET", "/tally/tallies/first?")
    await client.call("PATCH", "/tally/tallies/first", json={})
    await client.call("GET", "/tally/tallies/none")
    client.log.flush()
    told = [json.loads(line) for line in client.log.stream.getvalue().splitlines()]
    assert [set(line) for line in told] == [{"method", "route", "status", "ms"}] * 3
    assert [(line["method"], line["route"], line["status"]) for line in told] == [
        ("GET", "/api/v1/tally/tallies/{name}", 200),
        ("PATCH", "/api/v1/tally/tallies/{name}", 200),
        ("GET", "/api/v1/tally/tallies/{name}", 404),
    ]


async def test_the_page_of_the_interface_loads_nothing_from_elsewhere(client: Client) -> None:
    async with client.http.get(client.url + "/docs") as page:
        text = await page.text()
        assert page.status == 200
        assert "http:" not in text
        assert "https:" not in text
        assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        async with client.http.get(f"{client.url}/docs/assets/{name}") as asset:
            assert asset.status == 200


async def test_a_connection_that_ends_in_the_middle_of_a_body_is_no_fault(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = client.url.removeprefix("http://").removesuffix("/api/v1").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/v1/tally/tallies HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.call("GET", "/tally/tallies"))[0] == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
