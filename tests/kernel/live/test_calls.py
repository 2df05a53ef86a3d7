"""Calls over a stream: carried out as over HTTP, for whoever the socket is, and answered as they are done."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from entrepot.kernel.http import socket as sockets
from tests.conftest import TestDatabase
from tests.kernel.conftest import WALLET
from tests.kernel.live.club import OTHER, Club, Seat, Waiting, opened, prepare


@pytest.fixture
async def club(database: TestDatabase, owner: asyncpg.Connection) -> AsyncIterator[Club]:
    await prepare(owner, WALLET, OTHER)
    async with opened(database, body_limit=60_000) as made:
        yield made


async def test_a_call_is_answered_as_over_http_and_heard_by_the_room(club: Club) -> None:
    async with club.seat() as one, club.seat(OTHER) as other:
        assert await one.call("join", room="bar") == {"kind": "reply", "ref": "1", "status": 204}
        assert await other.call("join", room="bar") == {"kind": "reply", "ref": "1", "status": 204}
        said = await one.call("say", ref="a", room="bar", word="cheers")
        assert said == {"kind": "reply", "ref": "a", "status": 201, "answer": {"word": "cheers", "by": WALLET}}
        assert await other.told(until="cheers") == ["bar", "cheers"]


async def test_a_refusal_is_a_reply_with_the_problem_of_http(club: Club) -> None:
    async with club.seat() as seat:
        told = await seat.call("say", room="cellar", word="hello")
        path = f"{club.url}/api/v1/club/rooms/cellar/words"
        headers = {"Authorization": f"Bearer {WALLET}"}
        async with club.http.post(path, json={"word": "hello"}, headers=headers) as answer:
            assert told == {"kind": "reply", "ref": "1", "status": 404, "problem": await answer.json()}
            assert answer.status == 404


NOT_TAKEN: tuple[tuple[str, dict[str, Any], int, str | None], ...] = (
    ("say", {"room": "bar"}, 422, "word"),
    ("say", {"room": "bar", "word": 7}, 422, "word"),
    ("say", {"room": "bar", "word": "x", "more": 1}, 422, "more"),
    ("say", {"room": "bar", "word": "x", "by": OTHER}, 422, "by"),
    ("leave", {"room": "bar"}, 422, "Idempotency-Key"),
    ("rule", {}, 403, None),
    ("fall", {}, 500, None),
    ("say", {"room": "bar", "word": "x" * 70_001}, 413, None),
    ("join", {"room": "x" * 60_001}, 413, None),
    ("join", {"room": "\u0000"}, 422, "room"),
)


async def test_what_an_operation_would_not_take_over_http_is_refused_alike(club: Club) -> None:
    async with club.seat() as seat:
        for call, given, status, field in NOT_TAKEN:
            told = await seat.call(call, ref="r", **given)
            assert (told["ref"], told["status"], told["problem"].get("field")) == ("r", status, field), told
        assert (await seat.call("wait"))["status"] == 204, "the stream goes on"


NO_CALLS = (
    ("hello", None, 422),
    ("[]", None, 422),
    ('{"call":"wait"}', None, 422),
    ('{"call":"dance","ref":"7"}', "7", 422),
    ('{"call":"wait","ref":"7","ask":[]}', "7", 422),
    ('{"call":"wait","ref":"7","surplus":1}', "7", 422),
    ('{"call":"wait","ref":""}', "", 422),
    ('{"call":"wait","ref":"' + "7" * 65 + '"}', None, 422),
    ('{"call":"wait","ref":"7","ask":' + '{"a":' * 5_000 + "1" + "}" * 5_001, None, 422),
    ('{"call":"say","ref":"7","ask":{"word":"' + "x" * 100_000 + '"}}', None, 413),
)


async def test_a_frame_that_is_no_call_is_answered_and_the_stream_goes_on(club: Club) -> None:
    async with club.seat() as seat:
        for frame, ref, status in NO_CALLS:
            await seat.socket.send_str(frame)
            told = await seat.reply()
            assert (told["ref"], told["status"], told["problem"]["status"]) == (ref, status, status), told
        assert (await seat.call("wait"))["status"] == 204


async def test_binary_frames_cut_the_stream(club: Club) -> None:
    async with club.seat() as seat:
        await seat.socket.send_bytes(b'{"call":"wait","ref":"1"}')
        assert (await seat.ended())[0] == 4400


async def test_a_key_makes_a_call_happen_once(club: Club, owner: asyncpg.Connection) -> None:
    async with club.seat() as seat:
        await seat.call("join", room="bar")
        first = await seat.call("say", key="k" * 20, room="bar", word="once")
        assert await seat.call("say", key="k" * 20, room="bar", word="once") == first
        assert (await seat.call("say", key="k" * 20, room="bar", word="twice"))["status"] == 409
    # The same command over HTTP with that key is the same command.
    headers = {"Authorization": f"Bearer {WALLET}", "Idempotency-Key": "k" * 20}
    path = f"{club.url}/api/v1/club/rooms/bar/words"
    async with club.http.post(path, json={"word": "once"}, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (201, first["answer"])
    assert await owner.fetchval("SELECT count(*) FROM core.outbox WHERE topic = 'room:bar'") == 1


async def test_calls_begin_in_their_order_and_are_answered_as_they_are_done(club: Club) -> None:
    async with club.seat() as seat:
        await seat.ask("wait", ref="slow", seconds=0.4)
        await seat.ask("wait", ref="quick")
        assert [(await seat.reply())["ref"] for _ in range(2)] == ["quick", "slow"]
        await seat.call("join", room="bar")
        for number in range(200):
            await seat.ask("say", ref=str(number), room="bar", word=str(number))
        for _ in range(200):
            await seat.reply()


async def test_only_so_many_calls_of_a_socket_run_at_once_and_none_is_lost(club: Club) -> None:
    waiting = club.kept(Waiting)
    async with club.seat() as seat, club.seat() as another:
        for number in range(100):
            await seat.ask("wait", ref=str(number), seconds=0.3)
        began = time.monotonic()
        assert (await another.call("wait"))["status"] == 204, "another socket is not kept waiting"
        assert time.monotonic() - began < 0.25
        replies = [(await seat.reply())["ref"] for _ in range(100)]
    assert sorted(replies, key=int) == [str(number) for number in range(100)]
    assert waiting.most in (sockets.MOST_CALLS, sockets.MOST_CALLS + 1), "and one of the other socket's"


async def test_a_call_goes_on_to_its_end_when_its_socket_is_gone(club: Club) -> None:
    waiting = club.kept(Waiting)
    async with club.seat() as seat:
        await seat.ask("wait", seconds=0.3)
        while not waiting.now:
            await asyncio.sleep(0.01)
    while waiting.now:
        await asyncio.sleep(0.01)
    assert waiting.done == 1


async def test_calls_count_against_the_limits_of_their_routes_and_so_does_noise(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    await prepare(owner, WALLET)
    async with opened(database, writes_per_minute=3, reads_per_minute=10) as club, club.seat() as seat:
        statuses = [(await seat.call("hum", room="bar", word="la"))["status"] for _ in range(5)]
        assert statuses == [204, 204, 204, 429, 429]
        for _ in range(12):
            await seat.socket.send_str("noise")
        noise = [await seat.reply() for _ in range(12)]
        assert [told["status"] for told in noise].count(429) >= 2
        assert noise[-1]["problem"]["retry_after"] >= 1


async def test_a_stream_says_in_the_documentation_what_it_takes(club: Club) -> None:
    async with club.http.get(f"{club.url}/api/v1/openapi.json") as answer:
        told = (await answer.json())["paths"]["/api/v1/club/live"]["get"]
    say = told["x-calls"]["say"]
    assert set(say["ask"]["properties"]) == {"room", "word"}
    assert say["ask"]["required"] == ["room", "word"]
    assert (say["status"], say["key"], told["x-calls"]["leave"]["key"]) == (201, "optional", "required")
    assert {"status": 404, "type": "/problems/not-your-room"} in say["problems"]
    assert "ReplyFrame" in json.dumps(told["responses"]["101"])


async def test_who_sends_calls_and_reads_no_replies_is_cut(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MOST_FRAMES", 50)
    assert club.house is not None
    async with club.seat() as seat:
        noise = json.dumps({"call": "x" * 900, "ref": "1"})
        for _ in range(20_000):
            if not club.house.live.sockets:
                break
            await seat.socket.send_str(noise)
        while club.house.live.sockets:
            await asyncio.sleep(0.01)
        assert (await seat.ended())[0] in (4408, 1006)


async def test_a_handshake_that_is_replayed_after_signing_out_opens_nothing_and_calls_nothing(
    club: Club, owner: asyncpg.Connection
) -> None:
    """The open socket is cut at once; its calls were never looked at by a session of their own."""
    headers = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Authorization": f"Bearer {WALLET}"}
    async with club.seat(headers=headers) as seat:
        await seat.call("join", room="bar")
        async with club.http.post(f"{club.url}/api/v1/auth/logout", headers=headers) as answer:
            assert answer.status == 204
        assert (await seat.ended())[0] == 4401
    async with club.seat(headers=headers, ready=False) as again:
        await again.ask("say", room="bar", word="ghost")
        assert await again.ended() == (4401, ["refused"])
    assert await owner.fetchval("SELECT count(*) FROM core.outbox WHERE topic = 'room:bar'") == 0


async def test_a_page_of_another_site_can_call_nothing_with_the_cookie(club: Club, owner: asyncpg.Connection) -> None:
    headers = {"Cookie": f"entrepot_session={WALLET}", "Origin": "https://evil.example"}
    async with club.http.ws_connect(f"{club.url}/api/v1/club/live", headers=headers) as socket:
        seat = Seat(socket)
        await seat.ask("join", room="bar")
        assert await seat.ended() == (4403, ["refused"])
    assert await owner.fetchval("SELECT count(*) FROM club.members") == 0
