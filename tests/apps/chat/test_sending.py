"""Sending and reading: numbered without gaps, once however often it is sent, and for nobody else."""

import asyncio
from uuid import UUID, uuid4

import pytest

from tests.apps.chat.conftest import Caller, Place, envelope
from tests.callers import refused

IDS = (str(uuid4()), str(UUID(int=7 << 76 | 1 << 63)), "ffffffff-ffff-7fff-bfff-ffffffffffff")
"""Of another version, of 1970, and of the year 10889, which no datetime can hold."""


async def test_the_first_message_begins_the_conversation_and_both_read_it(alice: Caller, bob: Caller) -> None:
    given = envelope()
    sent = await alice.post(f"direct/{bob.wallet}/messages", **given)
    assert sent.status == 201, sent.body
    assert (sent.body["seq"], sent.body["id"]) == (1, given["message_id"])
    answered = await bob.writes_in(sent.body["conversation_id"])
    assert answered.body["seq"] == 2
    for caller in (alice, bob):
        page = (await caller.get(f"conversations/{sent.body['conversation_id']}/messages")).body
        assert [(item["seq"], item["sender_wallet"]) for item in page["items"]] == [(1, alice.wallet), (2, bob.wallet)]
        assert page["items"][0]["ciphertext"] == given["ciphertext"]
        assert page["items"][0]["nonce"] == given["nonce"]
        assert page["next_cursor"] is None


async def test_what_is_sent_again_is_the_same_message(place: Place, alice: Caller, bob: Caller) -> None:
    given = envelope()
    answers = await asyncio.gather(*(alice.post(f"direct/{bob.wallet}/messages", **given) for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert {(answer.body["seq"], answer.body["timestamp"]) for answer in answers} == {(1, answers[0].body["timestamp"])}
    assert (await alice.writes_to(bob)).body["seq"] == 2
    refused(await bob.writes_to(alice, message_id=given["message_id"]), 409, "message-id-taken")
    assert await place.owner.fetchval("SELECT count(*) FROM chat.messages") == 2


async def test_many_at_once_are_numbered_without_gaps_and_read_in_that_order(alice: Caller, bob: Caller) -> None:
    pairs = [(alice, bob), (bob, alice)]
    sent = await asyncio.gather(*(by.writes_to(to) for by, to in pairs * 60))
    assert sorted(answer.body["seq"] for answer in sent) == list(range(1, 121))
    path, cursor, read = f"conversations/{sent[0].body['conversation_id']}/messages", "after~0", []
    while cursor:
        page = (await alice.get(path, cursor=cursor)).body
        read += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert read == [answer.body["id"] for answer in sorted(sent, key=lambda answer: answer.body["seq"])]
    newest = (await bob.get(path, limit=10)).body
    assert [item["seq"] for item in newest["items"]] == list(range(111, 121))
    assert (await bob.get(path, limit=10, cursor=newest["next_cursor"])).body["items"][-1]["seq"] == 110


async def test_the_list_shows_the_newest_first_with_what_is_unread(place: Place, alice: Caller, bob: Caller) -> None:
    carol = await place.member()
    for _ in range(3):
        await alice.writes_to(bob)
    await carol.writes_to(bob)
    listed = (await bob.get("conversations")).body["items"]
    assert [(each["other_wallet"], each["unread"]) for each in listed] == [(carol.wallet, 1), (alice.wallet, 3)]
    assert [each["last_message"]["seq"] for each in listed] == [1, 3]
    assert (await bob.get("unread")).body == {"messages": 4, "conversations": 2}
    await bob.writes_to(alice)
    assert (await bob.get("unread")).body == {"messages": 1, "conversations": 1}


async def test_nobody_else_reads_writes_or_is_told_that_there_is_something(
    place: Place, alice: Caller, bob: Caller
) -> None:
    sent = (await alice.writes_to(bob)).body
    other, path = await place.member(), f"conversations/{sent['conversation_id']}/messages"
    before = await place.snapshot()
    for somewhere in (path, f"conversations/{uuid4()}/messages"):
        refused(await other.get(somewhere), 404, "no-such-conversation")
        refused(await other.post(somewhere, **envelope()), 404, "no-such-conversation")
    refused(await other.post(path, **envelope(message_id=sent["id"])), 404, "no-such-conversation")
    refused(await other.writes_to(place.stranger()), 404, "no-such-user")
    assert (await place.stranger().get(path)).status == 401
    assert (await other.get("conversations")).body["items"] == []
    assert await place.snapshot() == before


async def test_an_envelope_that_cannot_be_is_refused_and_nothing_is_written(
    place: Place, alice: Caller, bob: Caller
) -> None:
    await alice.writes_to(bob)
    before = await place.snapshot()
    for wrong in IDS:
        refused(await alice.writes_to(bob, message_id=wrong), 422, "malformed", field="message_id")
    refused(await alice.writes_to(bob, ciphertext="?"), 422, "malformed", field="ciphertext")
    refused(await alice.writes_to(bob, size=65_537), 422, "malformed")
    assert (await alice.writes_to(bob, roster=5)).body["roster"] == 0
    refused(await alice.writes_to(alice), 422, "malformed")
    assert await place.snapshot() == before
    assert (await alice.writes_to(bob, size=65_536)).status == 201


async def test_a_first_message_that_is_refused_begins_no_conversation(place: Place, alice: Caller, bob: Caller) -> None:
    carol = await place.member()
    taken = (await alice.writes_to(carol)).body["id"]
    before = await place.snapshot()
    for wrong in IDS:
        refused(await alice.writes_to(bob, message_id=wrong), 422, "malformed", field="message_id")
    refused(await alice.writes_to(bob, message_id=taken), 409, "message-id-taken")
    assert (await bob.get("conversations")).body["items"] == []
    assert await place.snapshot() == before


@pytest.mark.parametrize(
    ("meanwhile", "kind"),
    [
        (
            "INSERT INTO chat.blocks (user_id, blocked_wallet) SELECT id, $2 FROM chat.users WHERE $1 = wallet_address",
            404,
        ),
        ("UPDATE chat.users SET keys_version = keys_version + 1 WHERE wallet_address IN ($1, $2)", 409),
    ],
    ids=("a block", "other keys"),
)
async def test_a_first_message_heeds_what_comes_while_it_waits(
    place: Place, alice: Caller, bob: Caller, meanwhile: str, kind: int
) -> None:
    async with place.owner.transaction():
        await place.owner.execute("SELECT FROM chat.users FOR NO KEY UPDATE")
        sent = asyncio.create_task(alice.writes_to(bob))
        while not (sent.done() or await place.owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            await asyncio.sleep(0.01)
        await place.owner.execute(meanwhile, bob.wallet, alice.wallet)
    assert (await sent).status == kind
    assert await place.owner.fetchval("SELECT count(*) FROM chat.conversations") == 0
