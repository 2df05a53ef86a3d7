"""When keys change, whoever encrypts for them is told, and a message for the old ones is refused."""

import asyncio
import random
from typing import Any
from uuid import UUID

import pytest

from entrepot.apps.chat.app import APP
from tests.apps.chat.conftest import Caller, Place, opened_place
from tests.apps.chat.devices import Device, new_public_key
from tests.apps.chat.test_groups import group_of
from tests.apps.chat.test_stream import Socket, stream
from tests.callers import Answer, refused
from tests.conftest import TestDatabase

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture(autouse=True)
async def _what_is_always_true(place: Place) -> Any:
    """Holds after every test, whatever it did."""
    yield
    for name, statement in APP.invariants.items():
        assert await place.owner.fetch(statement) == [], name


async def conversation(by: Caller, to: Caller, roster: int = 0) -> str:
    sent = await by.writes_to(to, roster=roster)
    assert sent.status == 201, sent.body
    found: str = sent.body["conversation_id"]
    return found


async def test_a_message_for_yesterdays_devices_is_refused_and_goes_through_after_a_look(
    alice: Caller, bob: Caller
) -> None:
    place = await conversation(bob, alice)
    phone = Device(alice)
    for change, roster in ((phone.comes(), 1), (alice.delete(f"keys/{phone.id}"), 2)):
        await change
        refused(await bob.writes_in(place, roster=roster - 1), 409, "stale-roster", roster=roster)
        shown = (await bob.get(f"users/{alice.wallet}/keys")).body
        assert (shown["roster"], shown["conversation_id"]) == (roster, place)
        assert (await bob.get(f"conversations/{place}/devices")).body["roster"] == roster
        assert (await bob.writes_in(place, roster=roster)).status == 201


async def test_a_first_message_names_what_the_directory_tells(alice: Caller, bob: Caller) -> None:
    await Device(alice).comes()
    await Device(bob).comes()
    shown = (await bob.get(f"users/{alice.wallet}/keys")).body
    assert (shown["roster"], shown["conversation_id"]) == (2, None)
    refused(await bob.writes_to(alice, roster=1), 409, "stale-roster", roster=2)
    assert (await bob.writes_to(alice, roster=2)).status == 201


async def test_everybody_who_writes_with_somebody_is_told_and_nobody_else(
    place: Place, alice: Caller, bob: Caller
) -> None:
    carol, stranger = await place.member(), await place.member()
    pair, group = await conversation(bob, alice), await group_of(alice, carol)
    phone = Device(alice)
    async with stream(alice) as hers, stream(bob) as his, stream(carol) as carols, stream(stranger) as nobodys:
        await phone.comes()
        told = {"kind": "keys_changed", "wallet": alice.wallet, "event": "device", "device_id": str(phone.id)}
        heard = await his.hear()
        assert {**heard, "cursor": None} == {**told, "conversation_id": pair, "roster": 1, "cursor": None}
        in_group = await carols.hear("keys_changed")
        assert (in_group["conversation_id"], in_group["wallet"]) == (group, alice.wallet)
        assert (await carol.get(f"conversations/{group}/devices")).body["roster"] == in_group["roster"]
        own = await hers.hear("own_keys_changed")
        assert (own["event"], own["keys_version"], own["device_id"]) == ("device", 1, str(phone.id))
        assert {(await hers.hear("keys_changed"))["conversation_id"] for _ in range(2)} == {pair, group}
        await alice.delete(f"keys/{phone.id}")
        assert (await his.hear())["event"] == "removed"
        assert await nobodys.is_quiet()


async def test_the_owner_is_told_when_few_one_time_keys_are_left(place: Place, alice: Caller, bob: Caller) -> None:
    phone = Device(alice)
    await phone.comes(one_time_keys=phone.keys(12))
    async with stream(alice) as hers, stream(bob) as his:
        for _ in range(4):
            assert (await bob.post(f"users/{alice.wallet}/keys")).status == 200
        heard = [await hers.hear() for _ in range(2)]
        assert [(each["kind"], each["device_id"], each["one_time_keys"]) for each in heard] == [
            ("keys_low", str(phone.id), 9),
            ("keys_low", str(phone.id), 8),
        ]
        assert await his.is_quiet()
        assert await hers.is_quiet()


async def test_another_nacl_key_is_signed_for_by_the_wallet_noted_and_told(alice: Caller, bob: Caller) -> None:
    place = await conversation(bob, alice)
    change = new_public_key(alice, 1)
    async with stream(bob) as his:
        answer = await alice.patch("me", **change)
        assert (answer.body["public_key"], answer.body["keys_version"]) == (change["public_key"], 1)
        heard = await his.hear("keys_changed")
        assert (heard["event"], heard["device_id"], heard["roster"]) == ("public_key", None, 1)
    refused(await bob.writes_in(place), 409, "stale-roster", roster=1)
    assert (await bob.get(f"users/{alice.wallet}")).body["public_key"] == change["public_key"]
    newest = (await bob.get(f"users/{alice.wallet}/key-log")).body["items"][0]
    assert (newest["event"], newest["version"], newest["key"]) == ("public_key", 1, change["public_key"])


async def test_who_comes_without_a_key_brings_the_first_one_with_a_later_sign_in_and_that_is_told_too(
    database: TestDatabase,
) -> None:
    async with opened_place(database, apps=("chat",)) as alone:
        early, late = await alone.member(), alone.stranger()
        await late.sign_in()
        pair = await conversation(early, late)
        assert (await late.get("me")).body["public_key"] is None
        await late.sign_in(late.key)
        await late.sign_in(early.key)
        assert (await late.get("me")).body["public_key"] == late.key
        refused(await early.writes_in(pair), 409, "stale-roster", roster=1)
        log = (await early.get(f"users/{late.wallet}/key-log")).body["items"]
        assert [(entry["version"], entry["key"], entry["signature"]) for entry in log] == [(1, late.key, None)]


async def test_changes_are_counted_so_that_nobody_keeps_everybody_busy(place: Place, alice: Caller) -> None:
    phone = Device(alice)
    await phone.comes()
    await place.owner.execute(
        "INSERT INTO chat.key_log (user_id, event, at)"
        " SELECT user_id, 'prekey', now() - interval '20 minutes' FROM chat.key_log, generate_series(1, 58) LIMIT 58"
    )
    before = await place.snapshot()
    for refusal in (await alice.delete(f"keys/{phone.id}"), await alice.patch("me", **new_public_key(alice, 2))):
        refused(refusal, 429, "too-many")
        assert 0 < refusal.body["retry_after"] <= 3600
    assert await place.snapshot() == before


async def test_a_wallet_has_twenty_devices_at_the_most(place: Place, alice: Caller) -> None:
    for version in range(1, 21):
        await Device(alice).comes(version)
    before = await place.snapshot()
    refused(await alice.put("keys", **Device(alice).handed_in(21)), 409, "too-many-devices", most=20)
    assert await place.snapshot() == before


async def test_of_two_who_change_the_keys_at_once_one_looks_again(alice: Caller) -> None:
    answers = await asyncio.gather(*(alice.put("keys", **Device(alice).handed_in(1)) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    refused(next(answer for answer in answers if answer.status == 409), 409, "stale-keys", version=1)


async def test_conversations_that_begin_while_devices_come_know_of_them(place: Place, alice: Caller) -> None:
    others = [await place.member() for _ in range(12)]
    devices = [Device(other) for other in others]
    for other in others:
        asks = [device.comes() for device in devices if device.owner is other]
        await asyncio.gather(*asks, *(alice.writes_to(other, roster=roster) for roster in (0, 1)))
    rosters = [(await alice.get(f"users/{other.wallet}/keys")).body["roster"] for other in others]
    assert rosters == [1] * 12


async def encrypts(by: Caller, pair: str, until: asyncio.Event, sent: dict[str, frozenset[str]]) -> None:
    """Looks at who must be encrypted for, hesitates, and sends for these; notes for whom each message was."""
    while not until.is_set():
        page = (await by.get(f"conversations/{pair}/devices")).body
        devices = frozenset(device["id"] for item in page["items"] for device in item["devices"])
        await asyncio.sleep(random.random() / 50)
        answer = await by.writes_in(pair, roster=page["roster"])
        if answer.status == 201:
            sent[answer.body["id"]] = devices
        else:
            refused(answer, 409, "stale-roster")


async def comes_and_goes(of: Caller, times: int) -> None:
    """A device of theirs, and another NaCl key in between."""
    for version in range(1, times, 3):
        phone = Device(of)
        await phone.comes(version)
        await of.patch("me", **new_public_key(of, version + 1))
        await of.delete(f"keys/{phone.id}")
        await asyncio.sleep(random.random() / 10)


async def test_no_message_that_is_accepted_was_encrypted_for_other_devices_than_there_were(
    alice: Caller, bob: Caller
) -> None:
    pair, done = await conversation(alice, bob), asyncio.Event()
    sent: dict[str, frozenset[str]] = {}
    async with stream(bob) as his:
        writers = asyncio.gather(*(encrypts(by, pair, done, sent) for by in (alice, bob, alice)))
        await asyncio.gather(comes_and_goes(alice, 30), comes_and_goes(bob, 30))
        await asyncio.sleep(0.1)
        done.set()
        await writers
        there = await replayed(his, sent)
    assert len(sent) > 10
    assert sent == there


async def replayed(listening: Socket, sent: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Which devices there were when each message was said, as the order of the frames tells."""
    devices: frozenset[str] = frozenset()
    there: dict[str, frozenset[str]] = {}
    while there.keys() != sent.keys():
        frame = await listening.hear("message", "keys_changed")
        if frame["kind"] == "message":
            there[frame["message"]["id"]] = devices
        elif frame["event"] == "device":
            devices |= {frame["device_id"]}
        elif frame["event"] == "removed":
            devices -= {frame["device_id"]}
    return there


async def test_who_has_many_conversations_and_whoever_writes_in_them_never_wait_in_a_circle(
    place: Place, alice: Caller
) -> None:
    others = [await place.member() for _ in range(8)]
    pairs = [await conversation(alice, other) for other in others]

    async def writes(other: Caller, pair: str) -> None:
        for _ in range(15):
            roster = (await other.get(f"users/{alice.wallet}/keys")).body["roster"]
            await other.writes_in(pair, roster=roster)

    async with asyncio.timeout(25):
        await asyncio.gather(
            comes_and_goes(alice, 15), *(writes(other, pair) for other, pair in zip(others, pairs, strict=True))
        )
    await asyncio.sleep(1.1)  # a connection counts what it has met at most once a second, and when it is used again
    await asyncio.gather(*(alice.get("me") for _ in range(20)))
    assert await place.owner.fetchval(DEADLOCKS) == 0


async def waited(place: Place, call: asyncio.Task[Answer]) -> None:
    """The call waits for a lock."""
    async with asyncio.timeout(10):
        while not await place.owner.fetchval(WAITS):
            assert not call.done(), "it did not wait"
            await asyncio.sleep(0.01)


async def test_conversations_are_locked_in_the_order_of_their_ids_by_a_change_too(place: Place, alice: Caller) -> None:
    lock = "SELECT id FROM chat.conversations WHERE id = ANY($1) FOR NO KEY UPDATE NOWAIT"
    others = [await place.member() for _ in range(6)]
    pairs = sorted([UUID(await conversation(alice, other)) for other in others])
    for pair in pairs[:2]:  # so that they come last where rows are read as they lie
        assert (await alice.writes_in(str(pair))).status == 201
    async with place.owner.transaction():
        await place.owner.execute(lock, pairs[:1])
        coming = asyncio.create_task(Device(alice).comes())
        await waited(place, coming)
        assert len(await place.owner.fetch(lock, pairs[1:])) == 5
    assert (await coming).status == 200


async def test_nobody_comes_into_a_conversation_unseen_while_their_keys_are_being_changed(
    place: Place, alice: Caller, bob: Caller
) -> None:
    group = await group_of(alice)
    await alice.post(f"groups/{group}/members", wallet=bob.wallet)
    for begin in (
        lambda: bob.post(f"groups/{group}/members", wallet=bob.wallet),
        lambda: bob.writes_to(alice),
        lambda: bob.post(f"blocks/{alice.wallet}"),
    ):
        async with place.owner.transaction():
            hold = "SELECT FROM chat.users WHERE wallet_address = $1 FOR NO KEY UPDATE"
            await place.owner.execute(hold, bob.wallet)
            call = asyncio.create_task(begin())
            await waited(place, call)
        assert (await call).status in (200, 201, 204)
