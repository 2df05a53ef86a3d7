"""What PostgreSQL makes is what is declared: decoded strictly and written again, it is the same."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from entrepot.apps.chat.calls.blocks import BlockPage
from entrepot.apps.chat.calls.conversations import ConversationPage, Unread
from entrepot.apps.chat.calls.groups import Group, GroupPage, MemberPage
from entrepot.apps.chat.calls.keys import DevicePage, KeyLogPage, OwnKeys, UserKeys
from entrepot.apps.chat.calls.live import MessageSent
from entrepot.apps.chat.calls.messages import Message, MessagePage
from entrepot.apps.chat.calls.users import FoundUsers, Me, User
from entrepot.kernel.values import ENCODER, read_value
from tests.apps.chat.conftest import Caller, Place, envelope
from tests.apps.chat.devices import Device
from tests.apps.chat.test_groups import group_of
from tests.apps.chat.test_stream import stream
from tests.matrix import Matrix

NOON = datetime(2026, 11, 21, 12, 0, 0, 123_450, tzinfo=UTC)
COVERED = {
    *(Me, User, FoundUsers, BlockPage, OwnKeys, UserKeys, KeyLogPage, DevicePage, Group, GroupPage, MemberPage),
    *(ConversationPage, Unread, MessagePage),
}


def test_every_answer_that_postgresql_makes_is_looked_at_here() -> None:
    assert {each.signature.answer for each in Matrix("chat").own if each.signature.passes_json} == COVERED


async def check(caller: Caller, path: str, kind: Any, method: str = "GET") -> None:
    """The bytes of the answer, against what they are declared to be."""
    headers = {"Authorization": f"Bearer {caller.token}"}
    async with caller.http.request(method, f"/api/v1/chat/{path}", headers=headers) as answer:
        body = await answer.read()
        assert answer.status == 200, body
    read = msgspec.json.decode(body, type=kind, strict=True, dec_hook=read_value)
    assert msgspec.json.decode(ENCODER.encode(read)) == msgspec.json.decode(body), path
    assert getattr(read, "items", ("an answer that is no list",)), path


@pytest.mark.parametrize("full", [True, False], ids=["everything given", "nothing that may be null"])
async def test_an_answer_is_what_its_struct_says(place: Place, full: bool) -> None:  # noqa: FBT001
    alice, bob = await place.member(), await place.member()
    group = await group_of(alice, bob)
    sent = await alice.writes_to(bob)
    pair = sent.body["conversation_id"]
    if full:
        await alice.patch("me", name="Ada")
        await bob.patch(f"conversations/{pair}", keeps_for=3_600)
        await alice.writes_to(bob)
        await place.owner.execute("UPDATE chat.conversations SET last_at = $1", NOON)
        await place.owner.execute("UPDATE chat.users SET created_at = $1", NOON)
    else:
        await place.owner.execute("UPDATE chat.users SET public_key = NULL")
        await alice.writes_to(bob, nonce=None)
    phone = Device(alice)
    keys = {"one_time_keys": phone.keys(1)} if full else {}
    await phone.comes(1, **keys, **({"name": "phone"} if full else {}))
    await alice.post(f"blocks/{place.stranger().wallet}")
    for by, path, kind in (
        (alice, "me", Me),
        (bob, f"users/{alice.wallet}", User),
        (bob, f"users?q={alice.wallet}", FoundUsers),
        (alice, "blocks", BlockPage),
        (alice, "keys", OwnKeys),
        (bob, f"users/{alice.wallet}/keys", UserKeys),
        (bob, f"users/{alice.wallet}/key-log", KeyLogPage),
        (bob, f"conversations/{pair}/devices", DevicePage),
        (bob, "groups", GroupPage),
        (bob, f"groups/{group}", Group),
        (bob, f"groups/{group}/members", MemberPage),
        (bob, "conversations", ConversationPage),
        (bob, "unread", Unread),
        (bob, f"conversations/{pair}/messages", MessagePage),
        (bob, f"conversations/{group}/messages", MessagePage),
    ):
        await check(by, path, kind)
    await check(bob, f"users/{alice.wallet}/keys", UserKeys, "POST")


async def test_a_message_is_the_same_whether_it_is_heard_or_read(alice: Caller, bob: Caller) -> None:
    async with stream(bob) as his:
        sent = (await alice.post(f"direct/{bob.wallet}/messages", **envelope())).body
        await alice.patch(f"conversations/{sent['conversation_id']}", keeps_for=60)
        await alice.writes_to(bob)
        heard = [await his.hear("message") for _ in range(3)]
    read = (await bob.get(f"conversations/{sent['conversation_id']}/messages")).body["items"]
    for frame, item in zip(heard, read, strict=True):
        told = msgspec.convert(frame, MessageSent, dec_hook=read_value).message
        assert told == msgspec.convert(item, Message, dec_hook=read_value)
    assert (sent["seq"], sent["timestamp"]) == (read[0]["seq"], read[0]["timestamp"])
