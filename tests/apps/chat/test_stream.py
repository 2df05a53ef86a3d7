"""The live stream: what is sent is heard by everybody concerned and by nobody else, and calls go over it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from entrepot.kernel.db.database import Database
from entrepot.kernel.work.outbox import purge_expired
from tests.apps.chat.conftest import Caller, Place, envelope
from tests.apps.chat.test_groups import group_of, roster


class Socket:
    """An open stream; beats are passed over."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.cursor = ""

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """The next frame, of one of these kinds if any are named."""
        async with asyncio.timeout(10):
            while True:
                frame: dict[str, Any] = json.loads(await self.socket.receive_str())
                self.cursor = frame.get("cursor", self.cursor)
                if frame["kind"] != "beat" and (not kinds or frame["kind"] in kinds):
                    return frame

    async def call(self, name: str, ref: str, **ask: Any) -> None:
        await self.socket.send_json({"call": name, "ref": ref, "ask": ask})

    async def is_quiet(self) -> bool:
        """Whether nothing but beats comes for a while."""
        try:
            async with asyncio.timeout(0.5):
                await self.hear()
        except TimeoutError:
            return True
        return False


@asynccontextmanager
async def stream(caller: Caller, after: str = "") -> AsyncIterator[Socket]:
    """The caller's stream, ready."""
    headers, query = {"Authorization": f"Bearer {caller.token}"}, {"after": after} if after else {}
    async with caller.http.ws_connect("/api/v1/chat/stream", headers=headers, params=query) as opened:
        socket = Socket(opened)
        first = await socket.hear()
        assert first["kind"] == "ready", first
        yield socket


async def test_a_message_is_heard_by_both_and_by_nobody_else(place: Place, alice: Caller, bob: Caller) -> None:
    carol = await place.member()
    async with stream(alice) as hers, stream(bob) as his, stream(carol) as other:
        given = envelope()
        await hers.call("send_direct", "1", wallet=bob.wallet, **given)
        reply = await hers.hear("reply")
        assert (reply["ref"], reply["status"], reply["answer"]["seq"]) == ("1", 201, 1)
        heard = await his.hear()
        assert (heard["kind"], heard["message"]["ciphertext"]) == ("message", given["ciphertext"])
        assert (heard["message"]["sender_wallet"], heard["message"]["seq"]) == (alice.wallet, 1)
        conversation = heard["conversation_id"]
        await his.call("read", "r", id=conversation, read_seq=1)
        receipt = await hers.hear("receipt")
        assert (receipt["wallet"], receipt["read_seq"]) == (bob.wallet, 1)
        await his.call("typing", "t", id=conversation)
        assert await hers.hear("typing") == {"kind": "typing", "conversation_id": conversation, "wallet": bob.wallet}
        await other.call("send", "x", id=conversation, **envelope())
        refusal = await other.hear("reply")
        assert (refusal["status"], refusal["problem"]["type"]) == (404, "/problems/no-such-conversation")
        assert await other.is_quiet()


async def test_who_comes_back_hears_what_was_missed_once(alice: Caller, bob: Caller) -> None:
    async with stream(bob) as first:
        await alice.writes_to(bob)
        assert (await first.hear())["message"]["seq"] == 1
        cursor = first.cursor
    for _ in range(3):
        await alice.writes_to(bob)
    async with stream(bob, cursor) as second:
        assert [(await second.hear())["message"]["seq"] for _ in range(3)] == [2, 3, 4]
        assert await second.is_quiet()


async def test_what_has_disappeared_is_streamed_to_nobody_and_not_kept(
    place: Place, alice: Caller, bob: Caller, doors: Database
) -> None:
    """Neither the message nor the event that was said while messages disappear, while what was said before stays."""
    async with stream(bob) as first:
        await alice.writes_to(bob)
        conversation = (await first.hear())["conversation_id"]
        cursor = first.cursor
        await place.owner.execute("UPDATE chat.conversations SET keeps_for = 1")
        await alice.writes_to(bob)
        await alice.patch(f"conversations/{conversation}", keeps_for=5)
        assert [(await first.hear())["message"]["seq"] for _ in range(2)] == [2, 3]
    await place.owner.execute("UPDATE chat.conversations SET keeps_for = NULL")
    await asyncio.sleep(1.1)
    async with stream(bob, cursor) as second:
        assert await second.is_quiet()
        await alice.writes_to(bob)
        assert (await second.hear())["message"]["seq"] == 4
    await purge_expired(doors)
    kept = "SELECT array_agg((body -> 'message' ->> 'seq')::int ORDER BY id) FROM core.outbox"
    assert await place.owner.fetchval(f"{kept} WHERE body ->> 'kind' = 'message'") == [1, 4]
    async with stream(bob, cursor) as third:
        assert (await third.hear())["message"]["seq"] == 4, "and nothing else was lost with them"


async def test_a_group_is_heard_from_joining_until_leaving(alice: Caller, bob: Caller) -> None:
    async with stream(bob) as his:
        group = await group_of(alice)
        await alice.writes_in(group)
        await alice.post(f"groups/{group}/members", wallet=bob.wallet)
        assert (await his.hear())["kind"] == "invited"
        await bob.post(f"groups/{group}/members", wallet=bob.wallet)
        assert (await his.hear())["kind"] == "group_opened"
        assert (await his.hear())["message"]["event"] == {"kind": "joined"}
        await alice.writes_in(group, roster=await roster(alice, group))
        assert (await his.hear())["message"]["ciphertext"]
        await alice.delete(f"groups/{group}/members", wallet=bob.wallet)
        assert (await his.hear())["message"]["event"] == {"kind": "gone", "wallet": bob.wallet}
        assert (await his.hear())["kind"] == "group_closed"
        await alice.writes_in(group, roster=await roster(alice, group))
        assert await his.is_quiet()


async def test_whom_one_writes_with_is_seen_to_come_and_go(place: Place, alice: Caller, bob: Caller) -> None:
    carol = await place.member()
    await alice.writes_to(bob)
    assert (await alice.get("conversations")).body["items"][0]["is_online"] is False
    async with stream(alice) as hers, stream(carol) as other:
        async with stream(bob), stream(bob):
            assert await hers.hear() == {"kind": "presence", "wallet": bob.wallet, "is_online": True}
            assert (await alice.get("conversations")).body["items"][0]["is_online"] is True
        assert await hers.hear() == {"kind": "presence", "wallet": bob.wallet, "is_online": False}
        assert await other.is_quiet()
        assert await hers.is_quiet()
