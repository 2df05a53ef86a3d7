"""Whoever means harm is refused with the declared status, learns nothing, and nothing is written."""

import asyncio
import base64
import json
import random
from collections import Counter
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from entrepot.kernel.values import new_id
from tests.apps.chat.conftest import Caller, Place, envelope, opened_place
from tests.apps.chat.test_groups import group_of, roster
from tests.apps.chat.test_stream import stream
from tests.callers import refused
from tests.conftest import TestDatabase

ENVELOPES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"by": "0x" + "1" * 40}, "by"),
    ({"sender": "0x" + "1" * 40}, "sender"),
    ({"sender_id": 1}, "sender_id"),
    ({"seq": 1}, "seq"),
    ({"timestamp": "2020-01-01T00:00:00Z"}, "timestamp"),
    ({"message_id": "7"}, "message_id"),
    ({"message_id": str(uuid4())}, "message_id"),
    ({"message_id": None}, "message_id"),
    ({"ciphertext": ""}, "ciphertext"),
    ({"ciphertext": 7}, "ciphertext"),
    ({"ciphertext": "no base64"}, "ciphertext"),
    ({"ciphertext": base64.b64encode(bytes(65_537)).decode()}, "ciphertext"),
    ({"nonce": base64.b64encode(bytes(23)).decode()}, "nonce"),
    ({"roster": -1}, "roster"),
    ({"roster": 2**53}, "roster"),
    ({"roster": "0"}, "roster"),
)
NESTED = '{"call":"send","ref":"7","ask":' + '{"a":' * 5_000 + "1" + "}" * 5_001
NO_CALLS = ("hello", "[]", '{"call":"send"}', '{"call":"kick","ref":"7","ask":{}}', NESTED)


async def written(place: Place) -> dict[str, tuple[int, int]]:
    """What every table holds; but who is there is noted a moment after a socket has opened."""
    return {table: held for table, held in (await place.snapshot()).items() if table != "chat.presence"}


async def test_a_forged_or_malformed_envelope_is_refused_alike_over_http_and_the_stream(
    place: Place, alice: Caller, bob: Caller
) -> None:
    conversation = (await alice.writes_to(bob)).body["conversation_id"]
    async with stream(alice) as socket:
        before = await written(place)
        for wrong, field in ENVELOPES:
            answer = await alice.post(f"conversations/{conversation}/messages", **{**envelope(), **wrong})
            refused(answer, 422, "malformed", field=field)
            refused(await alice.post(f"direct/{bob.wallet}/messages", **{**envelope(), **wrong}), 422, "malformed")
            await socket.call("send", "1", id=conversation, **{**envelope(), **wrong})
            told = await socket.hear("reply")
            assert (told["status"], told["problem"]["field"]) == (422, field)
        assert await written(place) == before
        assert await socket.is_quiet()


async def test_frames_that_are_no_calls_are_answered_and_octets_end_the_stream(place: Place, alice: Caller) -> None:
    async with stream(alice) as socket:
        before = await written(place)
        for frame in NO_CALLS:
            await socket.socket.send_str(frame)
            assert (await socket.hear("reply"))["status"] == 422, frame[:40]
        await socket.call("typing", "9", id=str(uuid4()))
        assert (await socket.hear("reply"))["status"] == 404, "the stream goes on"
        await socket.socket.send_bytes(b'{"call":"typing","ref":"1"}')
        assert (await socket.socket.receive(5)).data == 4400
    assert await written(place) == before


async def test_a_frame_or_a_body_of_300_kb_is_not_taken(place: Place, alice: Caller, bob: Caller) -> None:
    before = await written(place)
    huge = envelope(ciphertext="A" * 300_000)
    assert (await alice.post(f"direct/{bob.wallet}/messages", **huge)).status == 413
    async with stream(alice) as socket:
        await socket.call("send_direct", "1", wallet=bob.wallet, **huge)
        told = await socket.socket.receive(5)
        if told.type is aiohttp.WSMsgType.TEXT:
            assert json.loads(told.data)["status"] == 413
        else:
            assert told.data in (1009, 4400)
    assert await written(place) == before


async def test_what_is_not_yours_is_answered_as_what_is_not_there(place: Place, alice: Caller, bob: Caller) -> None:
    pair = (await alice.writes_to(bob)).body["conversation_id"]
    group, mallory = await group_of(alice, bob), await place.member()
    async with stream(mallory) as socket:
        before = await written(place)
        for theirs in (pair, group):
            for call, ask in (("send", envelope()), ("read", {"read_seq": 1}), ("typing", {})):
                told = []
                for conversation in (theirs, str(uuid4())):
                    await socket.call(call, "1", id=conversation, **ask)
                    told.append(await socket.hear("reply"))
                assert told[0] == told[1], call
                assert told[0]["status"] == 404
        for path in ("groups/{}/members", "groups/{}", "conversations/{}/messages", "conversations/{}/devices"):
            answers = [await mallory.get(path.format(which)) for which in (group, uuid4())]
            assert answers[0].body == answers[1].body
            assert answers[0].status == 404
        assert await written(place) == before


async def test_a_message_id_of_another_tells_nothing_of_it(place: Place, alice: Caller, bob: Caller) -> None:
    mallory = await place.member()
    sent = (await alice.writes_to(bob)).body
    own = (await mallory.writes_to(bob)).body["conversation_id"]
    before = await written(place)
    refused(await mallory.writes_in(own, message_id=sent["id"]), 409, "message-id-taken")
    theirs = await mallory.writes_in(sent["conversation_id"], message_id=sent["id"])
    nowhere = await mallory.writes_in(str(uuid4()), message_id=sent["id"])
    assert (theirs.status, theirs.body) == (404, nowhere.body)
    assert await written(place) == before


async def test_a_cursor_does_not_tell_who_is_here(place: Place, alice: Caller, bob: Caller) -> None:
    group, carol = await group_of(alice, bob), await place.member()
    await carol.writes_to(await place.member())
    answers = [
        await bob.get(f"conversations/{group}/devices", cursor=caller.wallet) for caller in (carol, place.stranger())
    ]
    assert answers[0].body == answers[1].body
    assert len(answers[0].body["items"]) == 2


async def test_one_id_at_once_through_two_servers_is_one_message_and_no_failure(
    place: Place, database: TestDatabase, alice: Caller, bob: Caller
) -> None:
    carol = await place.member()
    pairs = [(await alice.writes_to(other)).body["conversation_id"] for other in (bob, carol)]
    async with opened_place(database) as second:
        elsewhere = Caller(second.http, alice.account, alice.key, alice.token)
        for _ in range(25):
            given = envelope(message_id=str(new_id()))
            calls = [
                by.post(f"conversations/{pair}/messages", **given)
                for by, pair in zip((alice, elsewhere), random.sample(pairs, 2), strict=True)
            ]
            answers = await asyncio.gather(*calls)
            assert sorted(answer.status for answer in answers) == [201, 409], [answer.body for answer in answers]
    assert await place.owner.fetchval("SELECT count(*) FROM chat.messages") == 27


@pytest.mark.parametrize("limits", [{"messages_per_second": 1}, {"messages_per_minute": 60}], ids=str)
async def test_who_sends_too_much_is_told_when_to_come_back(database: TestDatabase, limits: dict[str, int]) -> None:
    """A minute's worth may come at once; a wallet has one limit over HTTP and the stream, an address another."""
    async with opened_place(database, **limits) as place:
        alice, bob = await place.member(), await place.member()
        pair = (await alice.writes_to(bob)).body["conversation_id"]
        async with stream(alice) as socket:
            for _ in range(100):
                await socket.call("send", "1", id=pair, **envelope())
            told = [await socket.hear("reply") for _ in range(100)]
        statuses = Counter(each["status"] for each in told)
        assert statuses[201] >= 59
        assert statuses[429] == 100 - statuses[201] > 10
        assert all(each["problem"]["retry_after"] == 1 for each in told if each["status"] == 429)
        hers = await asyncio.gather(*(alice.writes_in(pair) for _ in range(30)))
        late = [answer for answer in hers if answer.status == 429]
        assert {(answer.body["type"], answer.headers["Retry-After"]) for answer in late} == {
            ("/problems/too-many", "1")
        }
        # Another wallet is not kept by a wallet's limit, and is by that of the address that they share.
        his = await asyncio.gather(*(bob.writes_in(pair) for _ in range(30)))
        assert (429 in {answer.status for answer in his}) == ("messages_per_minute" in limits)
        taken = 1 + statuses[201] + sum(answer.status == 201 for answer in (*hers, *his))
        assert await place.owner.fetchval("SELECT count(*) FROM chat.messages") == taken


async def ended(http: aiohttp.ClientSession, call: dict[str, Any], **more: Any) -> tuple[int, list[str]]:
    """The close code of a stream that is opened so and called at once, and the kinds of the frames before it."""
    kinds = []
    async with http.ws_connect("/api/v1/chat/stream", **more) as opened:
        await opened.send_json({"call": "send_direct", "ref": "1", "ask": call})
        while (frame := await opened.receive(5)).type is aiohttp.WSMsgType.TEXT:
            kinds.append(json.loads(frame.data)["kind"])
        return int(opened.close_code or 0), kinds


async def test_a_stream_of_a_session_that_is_over_is_cut_and_opens_no_more(
    place: Place, alice: Caller, bob: Caller
) -> None:
    call, headers = {"wallet": bob.wallet, **envelope()}, {"Authorization": f"Bearer {alice.token}"}
    async with stream(alice) as socket:
        assert (await alice.post("auth/logout")).status == 204
        last: Any = await socket.socket.receive(5)
        while last.type is aiohttp.WSMsgType.TEXT:
            last = await socket.socket.receive(5)
        assert last.data == 4401
    assert await ended(place.http, call, headers=headers) == (4401, ["refused"])
    assert (await alice.writes_to(bob)).status == 401
    assert await place.owner.fetchval("SELECT count(*) FROM chat.conversations") == 0


async def test_the_cookie_is_of_no_use_to_a_page_of_another_site(place: Place, alice: Caller, bob: Caller) -> None:
    call = {"wallet": bob.wallet, **envelope()}
    headers = {"Cookie": f"entrepot_session={alice.token}", "Origin": "https://evil.example"}
    assert await ended(place.http, call, headers=headers) == (4403, ["refused"])
    assert await place.owner.fetchval("SELECT count(*) FROM chat.conversations") == 0


async def test_who_was_put_out_hears_and_says_nothing_on_a_stream_that_was_open(
    place: Place, alice: Caller, bob: Caller
) -> None:
    group = await group_of(alice, bob)
    async with stream(bob) as his:
        await alice.delete(f"groups/{group}/members", wallet=bob.wallet)
        assert (await his.hear("group_closed"))["conversation_id"] == group
        before = await written(place)
        for call, ask in (("send", envelope(roster=3)), ("read", {"read_seq": 9}), ("typing", {})):
            await his.call(call, "1", id=group, **ask)
            assert (await his.hear("reply"))["status"] == 404
        assert await written(place) == before
        assert (await alice.writes_in(group, roster=await roster(alice, group))).status == 201
        assert await his.is_quiet()
