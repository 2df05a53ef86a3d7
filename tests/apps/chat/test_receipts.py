"""Receipts: they go on and never back, the other is told, and statuses follow."""

from entrepot.apps.chat.operations import keeping, receipts
from entrepot.kernel.db.database import Database
from tests.apps.chat.conftest import Caller, Place, envelope
from tests.callers import refused
from tests.conftest import TestDatabase, settings_for


async def test_receipts_go_on_and_never_back(place: Place, alice: Caller, bob: Caller) -> None:
    for _ in range(5):
        conversation = (await alice.writes_to(bob)).body["conversation_id"]
    path = f"conversations/{conversation}/read"
    told = (await bob.post(path, read_seq=2, delivered_seq=4)).body
    assert (told["read_seq"], told["delivered_seq"], told["unread"]) == (2, 4, 3)
    for less in ({"read_seq": 1}, {"delivered_seq": 3}, {}):
        assert (await bob.post(path, **less)).body == told
    assert (await bob.post(path, read_seq=99)).body["read_seq"] == 5
    shown = (await alice.get("conversations")).body["items"][0]
    assert (shown["other_read_seq"], shown["other_delivered_seq"], shown["unread"]) == (5, 5, 0)
    refused(await (await place.member()).post(path, read_seq=1), 404, "no-such-conversation")


async def test_the_references_status_follows_the_cursors(
    place: Place, database: TestDatabase, alice: Caller, bob: Caller
) -> None:
    for _ in range(4):
        conversation = (await alice.writes_to(bob)).body["conversation_id"]
    await bob.post(f"conversations/{conversation}/read", read_seq=1, delivered_seq=3)
    settings = settings_for(database)
    async with Database(settings.database_url, settings) as doors:
        await receipts.settle(doors)
        rows = await place.owner.fetch("SELECT status FROM chat.messages ORDER BY seq")
        assert [row["status"] for row in rows] == ["read", "delivered", "delivered", "sent"]
        await bob.writes_to(alice)
        await receipts.settle(doors)
    rows = await place.owner.fetch("SELECT status FROM chat.messages ORDER BY seq")
    assert [row["status"] for row in rows] == ["read"] * 4 + ["sent"]


async def test_messages_disappear_when_the_conversation_says_so(
    place: Place, database: TestDatabase, alice: Caller, bob: Caller
) -> None:
    conversation = (await alice.writes_to(bob)).body["conversation_id"]
    path = f"conversations/{conversation}"
    told = await bob.patch(path, keeps_for=60)
    assert (told.status, told.body["event"], told.body["seq"]) == (200, {"kind": "keeps_for", "seconds": 60}, 2)
    given = envelope()
    sent = await alice.post(f"{path}/messages", **given)
    await place.owner.execute("UPDATE chat.messages SET expires_at = now() WHERE seq = 3")
    items = (await bob.get(f"{path}/messages")).body["items"]
    assert [item["seq"] for item in items] == [1, 2]
    settings = settings_for(database)
    async with Database(settings.database_url, settings) as doors:
        await keeping.sweep(doors)
        assert await place.owner.fetchval("SELECT ciphertext FROM chat.messages WHERE seq = 3") == b""
        assert (await alice.post(f"{path}/messages", **given)).body == sent.body, "it is not a second message"
        await place.owner.execute(
            "UPDATE chat.messages SET id = core.least_id(now() - interval '26 hours') WHERE seq = 3"
        )
        await keeping.sweep(doors)
    assert await place.owner.fetchval("SELECT array_agg(seq ORDER BY seq) FROM chat.messages") == [1, 2]
    assert (await alice.writes_to(bob)).body["seq"] == 4
    refused(await (await place.member()).patch(path, keeps_for=60), 404, "no-such-conversation")
