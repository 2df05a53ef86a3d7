"""The key directory: whose keys are whose, given out once, and signed for all the way from the wallet."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from entrepot.apps.chat.attestations import Use, of_device
from entrepot.apps.chat.calls.keys import DevicePage, KeyLogPage, OwnKeys, UserKeys
from entrepot.apps.chat.operations.directory import purge_claims
from entrepot.kernel.db.database import Database
from entrepot.kernel.values import ENCODER, read_value
from entrepot.kernel.wallet import Wallet
from tests.apps.chat.conftest import Caller, Place
from tests.apps.chat.devices import DOMAIN, Device, is_signed
from tests.callers import Answer, refused


@pytest.fixture
async def phone(alice: Caller) -> Device:
    """Alice's, with five one-time keys and a last resort."""
    phone = Device(alice)
    five = phone.keys(5)
    await phone.comes(one_time_keys=five, last_resort_key=phone.key(Use.LAST_RESORT), name="the phone")
    return phone


async def claimed(caller: Caller, of: Caller, **query: str) -> Answer:
    return await caller.post(f"users/{of.wallet}/keys", **query)


async def test_who_takes_the_keys_of_a_wallet_can_follow_the_signatures_up_to_the_wallet(
    alice: Caller, bob: Caller, phone: Device
) -> None:
    taken = (await claimed(bob, alice)).body
    assert (taken["wallet_address"], taken["public_key"], taken["keys_version"]) == (alice.wallet, alice.key, 1)
    (device,) = taken["devices"]
    wallet, version = Wallet(taken["wallet_address"]), device["identity_version"]
    told = of_device(DOMAIN, wallet, UUID(device["id"]), device["identity_key"], version, device["chain_id"])
    assert Account.recover_message(encode_defunct(text=told), signature=device["identity_signature"]) == alice.wallet
    assert is_signed(device, device["signed_prekey"], Use.SIGNED_PREKEY)
    assert is_signed(device, device["one_time_key"], Use.ONE_TIME)
    assert device["one_time_key"]["is_last_resort"] is False


async def test_one_time_keys_go_once_in_their_order_and_then_comes_the_last_resort_which_says_so(
    alice: Caller, bob: Caller, phone: Device
) -> None:
    taken = [(await claimed(bob, alice)).body["devices"][0]["one_time_key"] for _ in range(7)]
    assert [key["key_id"] for key in taken] == [1, 2, 3, 4, 5, 6, 6]
    assert [key["is_last_resort"] for key in taken] == [False] * 5 + [True] * 2
    assert is_signed({"id": str(phone.id), "identity_key": phone.identity_key}, taken[6], Use.LAST_RESORT)
    (own,) = (await alice.get("keys")).body["devices"]
    assert (own["one_time_keys"], own["is_low"], own["last_resort_key_id"], own["last_key_id"]) == (0, True, 6, 6)


async def test_of_many_who_claim_at_once_no_two_are_given_the_same_key(place: Place, alice: Caller) -> None:
    tablet = Device(alice)
    await tablet.comes(one_time_keys=tablet.keys(40))
    crowd = [await place.member() for _ in range(5)]
    taken = await asyncio.gather(*(claimed(caller, alice) for caller in crowd for _ in range(9)))
    keys = [answer.body["devices"][0]["one_time_key"] for answer in taken]
    numbers = sorted(key["key_id"] for key in keys if key is not None)
    assert (numbers, keys.count(None)) == (list(range(1, 41)), 5)


async def test_looking_takes_nothing(place: Place, alice: Caller, bob: Caller, phone: Device) -> None:
    before = await place.snapshot()
    shown = (await bob.get(f"users/{alice.wallet}/keys")).body
    assert (shown["devices"][0]["one_time_key"], shown["roster"]) == (None, 1)
    assert await place.snapshot() == before


async def test_a_claim_repeated_with_its_key_is_answered_with_the_same_keys(
    alice: Caller, bob: Caller, phone: Device
) -> None:
    path, key = f"users/{alice.wallet}/keys", str(uuid4())
    answers = [await bob.call("POST", path, key=key, json={}) for _ in range(3)]
    assert len({answer.body["devices"][0]["one_time_key"]["key_id"] for answer in answers}) == 1


async def test_each_device_gives_its_own_key_or_one_device_alone(alice: Caller, bob: Caller, phone: Device) -> None:
    tablet = Device(alice)
    await tablet.comes(2, one_time_keys=tablet.keys(2))
    devices = {device["id"]: device for device in (await claimed(bob, alice)).body["devices"]}
    assert set(devices) == {str(phone.id), str(tablet.id)}
    assert all(device["one_time_key"]["key_id"] == 1 for device in devices.values())
    alone = (await claimed(bob, alice, device=str(tablet.id))).body["devices"]
    assert [(device["id"], device["one_time_key"]["key_id"]) for device in alone] == [(str(tablet.id), 2)]
    assert (await claimed(bob, alice, device=str(uuid4()))).body["devices"] == []
    # Her own other device writes to this one, too.
    own = (await claimed(alice, alice, device=str(phone.id))).body
    assert (own["devices"][0]["one_time_key"]["key_id"], own["roster"]) == (2, None)


async def test_whoever_drains_a_wallet_is_stopped_and_given_nothing(place: Place, alice: Caller, bob: Caller) -> None:
    phone = Device(alice)
    await phone.comes(one_time_keys=phone.keys(60))
    answers = await asyncio.gather(*(claimed(bob, alice) for _ in range(30)))
    assert sorted(answer.status for answer in answers) == [200] * 20 + [429] * 10
    before = await place.snapshot()
    refusal = await claimed(bob, alice)
    refused(refusal, 429, "too-many")
    assert 0 < refusal.body["retry_after"] <= 180
    assert await place.snapshot() == before
    assert (await claimed(await place.member(), alice)).status == 200
    # A share of an hour later there is one more for him.
    await place.owner.execute("UPDATE chat.key_claims SET due = due - interval '3 minutes'")
    assert [(await claimed(bob, alice)).status for _ in range(2)] == [200, 429]


async def test_claims_that_count_no_longer_are_forgotten(place: Place, doors: Database, phone: Device) -> None:
    others = [await place.member() for _ in range(2)]
    for other in others:
        await claimed(other, phone.owner)
    await place.owner.execute(
        "UPDATE chat.key_claims SET due = now() - interval '1 second' WHERE user_id ="
        " (SELECT id FROM chat.users WHERE wallet_address = $1)",
        others[0].wallet,
    )
    async with doors.write() as db:
        await purge_claims(db)
    assert await place.owner.fetchval("SELECT count(*) FROM chat.key_claims") == 1


async def test_what_a_device_has_brought_before_is_not_given_out_again(
    place: Place, alice: Caller, bob: Caller
) -> None:
    phone = Device(alice)
    given = phone.handed_in(one_time_keys=phone.keys(3), last_resort_key=phone.key(Use.LAST_RESORT))
    assert (await alice.put("keys", **given)).status == 200
    await claimed(bob, alice)
    before = await place.snapshot()
    again = await alice.put("keys", **given)
    assert (again.status, again.body["devices"][0]["one_time_keys"]) == (200, 2)
    assert await place.snapshot() == before
    assert (await claimed(bob, alice)).body["devices"][0]["one_time_key"]["key_id"] == 2


async def test_keys_are_added_up_to_five_hundred_and_the_last_resort_is_replaced(
    place: Place, alice: Caller, phone: Device
) -> None:
    for _ in range(4):
        assert (await phone.brings(one_time_keys=phone.keys(100))).status == 200
    assert (await phone.brings(one_time_keys=phone.keys(95))).body["devices"][0]["one_time_keys"] == 500
    before = await place.snapshot()
    refused(await phone.brings(one_time_keys=phone.keys(1)), 409, "too-many-keys", most=500, held=500)
    refused(await phone.brings(one_time_keys=phone.keys(101)), 422, "malformed", field="one_time_keys")
    assert await place.snapshot() == before
    other = phone.key(Use.LAST_RESORT)
    (own,) = (await phone.brings(last_resort_key=other)).body["devices"]
    assert (own["last_resort_key_id"], own["one_time_keys"]) == (other["key_id"], 500)


async def test_a_signed_prekey_is_replaced_by_a_newer_one_only_and_no_roster_changes(
    place: Place, alice: Caller, bob: Caller, phone: Device
) -> None:
    await alice.writes_to(bob, roster=1)
    phone.prekey = phone.key(Use.SIGNED_PREKEY, 7)
    assert (await phone.brings()).status == 200
    shown = (await bob.get(f"users/{alice.wallet}/keys")).body
    assert (shown["devices"][0]["signed_prekey"], shown["roster"]) == (phone.prekey, 1)
    before = await place.snapshot()
    for number in (6, 7):
        phone.prekey = phone.key(Use.SIGNED_PREKEY, number)
        refused(await phone.brings(), 409, "stale-prekey", key_id=7)
    assert await place.snapshot() == before
    assert (await bob.writes_to(alice, roster=1)).status == 201


async def test_a_conversation_shows_the_devices_of_everybody_in_it_page_by_page(
    place: Place, alice: Caller, bob: Caller, phone: Device
) -> None:
    tablet = Device(bob)
    await tablet.comes()
    sent = (await alice.writes_to(bob, roster=2)).body
    path = f"conversations/{sent['conversation_id']}/devices"
    whole = (await bob.get(path)).body
    assert {item["wallet_address"]: [device["id"] for device in item["devices"]] for item in whole["items"]} == {
        alice.wallet: [str(phone.id)],
        bob.wallet: [str(tablet.id)],
    }
    assert (whole["roster"], whole["next_cursor"]) == (2, None)
    first = (await bob.get(path, limit=1)).body
    second = (await bob.get(path, limit=1, cursor=first["next_cursor"])).body
    assert [*first["items"], *second["items"]] == whole["items"]
    for somewhere in (path, f"conversations/{uuid4()}/devices"):
        refused(await (await place.member()).get(somewhere), 404, "no-such-conversation")


async def test_every_answer_is_what_its_struct_says(place: Place, alice: Caller, bob: Caller, phone: Device) -> None:
    bare = Device(bob)
    await bare.comes()
    sent = (await alice.writes_to(bob, roster=2)).body
    await claimed(bob, alice)
    for caller, path, kind in (
        (alice, "keys", OwnKeys),
        (bob, "keys", OwnKeys),
        (await place.member(), "keys", OwnKeys),
        (bob, f"users/{alice.wallet}/keys", UserKeys),
        (bob, f"users/{bob.wallet}/keys", UserKeys),
        (bob, f"users/{alice.wallet}/key-log", KeyLogPage),
        (bob, f"conversations/{sent['conversation_id']}/devices", DevicePage),
    ):
        body = (await caller.get(path)).body
        read = msgspec.convert(body, kind, strict=True, dec_hook=read_value)
        assert msgspec.json.decode(ENCODER.encode(read)) == body


async def test_a_device_that_is_removed_gives_no_keys_and_never_comes_back(
    place: Place, alice: Caller, bob: Caller, phone: Device
) -> None:
    given = phone.handed_in(one_time_keys=phone.keys(1))
    assert (await alice.delete(f"keys/{phone.id}")).status == 204
    assert (await alice.get("keys")).body["devices"] == []
    assert (await claimed(bob, alice)).body["devices"] == []
    before = await place.snapshot()
    refused(await alice.delete(f"keys/{phone.id}"), 404, "no-such-device")
    for back in (given, phone.handed_in(3)):
        refused(await alice.put("keys", **back), 409, "device-id-taken")
    assert await place.snapshot() == before
    assert await place.owner.fetchval("SELECT count(*) FROM chat.one_time_keys") == 0


async def test_the_log_holds_every_key_with_its_signature_and_versions_without_gaps(
    place: Place, alice: Caller, bob: Caller, phone: Device
) -> None:
    phone.prekey = phone.key(Use.SIGNED_PREKEY, 2)
    await phone.brings()
    first = phone.identity_key
    phone.identity = Device(alice).identity
    phone.prekey = phone.key(Use.SIGNED_PREKEY, 1)
    await phone.comes(2)
    await alice.delete(f"keys/{phone.id}")
    path, log, cursor = f"users/{alice.wallet}/key-log", [], None
    while cursor is not None or not log:
        page = (await bob.get(path, limit=2, **({"cursor": cursor} if cursor else {}))).body
        log, cursor = [*log, *page["items"]], page["next_cursor"]
    assert [(entry["event"], entry["version"]) for entry in reversed(log)] == [
        ("public_key", 0),
        ("device", 1),
        ("prekey", None),
        ("identity", 2),
        ("removed", 3),
    ]
    assert [entry["key"] for entry in log[::-1]][1::2] == [first, phone.identity_key]
    signature = "0x" + base64.b64decode(log[3]["signature"]).hex()
    told = of_device(DOMAIN, Wallet(alice.wallet), phone.id, first, 1, log[3]["chain_id"])
    assert Account.recover_message(encode_defunct(text=told), signature=signature) == alice.wallet
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(log[0]["at"]) < timedelta(minutes=1)
