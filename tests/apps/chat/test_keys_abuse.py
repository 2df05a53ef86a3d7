"""Keys that nobody vouches for: each is refused as declared, nothing is written, and nobody learns who is here."""

import asyncio
import base64
import secrets
from typing import Any
from uuid import uuid4

import pytest
from nacl.signing import SigningKey

from entrepot.apps.chat.attestations import Use
from tests.apps.chat.conftest import Caller, Place
from tests.apps.chat.devices import Device, new_public_key, text
from tests.callers import Answer, refused


@pytest.fixture
async def phone(alice: Caller) -> Device:
    """Alice's, which is there."""
    phone = Device(alice)
    await phone.comes(one_time_keys=phone.keys(2))
    return phone


async def is_refused(place: Place, call: Any, kind: str, **facts: Any) -> None:
    """It is refused so, and nothing was written."""
    before = await place.snapshot()
    answer: Answer = await call
    refused(answer, {"stale-keys": 409, "device-id-taken": 409}.get(kind, 422), kind, **facts)
    assert await place.snapshot() == before, "a refused call wrote something"


def other_signature() -> str:
    return text(secrets.token_bytes(63) + b"\0")


async def test_a_key_that_the_identity_key_did_not_sign_is_refused_by_name(place: Place, phone: Device) -> None:
    thief = Device(phone.owner, id=phone.id)
    good, forged = phone.keys(3), thief.key(Use.ONE_TIME, 90)
    swapped = {**good[0], "public_key": good[1]["public_key"]}
    renumbered = {**good[0], "key_id": 50}
    for wrong in (forged, swapped, renumbered, {**good[0], "signature": other_signature()}):
        call = phone.brings(one_time_keys=[*good[1:], wrong])
        await is_refused(place, call, "wrong-signature", field="one_time_keys[2]")
    await is_refused(
        place, phone.brings(signed_prekey=thief.key(Use.SIGNED_PREKEY, 9)), "wrong-signature", field="signed_prekey"
    )
    # A key is good for what it was signed for, and for no other use of the same device.
    for use, field in ((Use.ONE_TIME, "last_resort_key"), (Use.SIGNED_PREKEY, "last_resort_key")):
        await is_refused(place, phone.brings(last_resort_key=phone.key(use)), "wrong-signature", field=field)
    elsewhere = Device(phone.owner, identity=phone.identity).key(Use.ONE_TIME, 60)
    await is_refused(place, phone.brings(one_time_keys=[elsewhere]), "wrong-signature", field="one_time_keys[0]")


async def test_a_key_that_nothing_can_be_sealed_to_is_refused(place: Place, alice: Caller, phone: Device) -> None:
    """Who seals for a group with such a member in it could seal for nobody."""
    zeros, late = text(bytes(32)), place.stranger()
    refused(await late.sign_in(zeros), 422, "malformed", field="public_key")
    await is_refused(place, alice.patch("me", **new_public_key(alice, 2, zeros)), "malformed", field="public_key")
    prekey = {**phone.key(Use.SIGNED_PREKEY, 9), "public_key": zeros}
    await is_refused(place, phone.brings(signed_prekey=prekey), "malformed", field="signed_prekey.public_key")


async def test_an_identity_that_the_wallet_did_not_sign_for_is_refused(
    place: Place, alice: Caller, bob: Caller, phone: Device
) -> None:
    new = Device(alice)
    word = Device(bob, new.id, new.identity).attested(2)
    for wrong in (
        word,  # another wallet's
        Device(alice, new.id).attested(2),  # for another key
        Device(alice, uuid4(), new.identity).attested(2),  # for another device
        {**new.attested(3), "version": 2},  # for another version
        {**new.attested(2, chain_id=56), "chain_id": 1},  # for another chain
        {"version": 2, "identity_signature": "0x" + "00" * 65},
        {"version": 2, "identity_signature": "0x" + "11" * 200},
    ):
        call = alice.put("keys", **new.handed_in(None, **wrong))
        await is_refused(place, call, "wrong-signature", field="identity_signature")
    missing = alice.put("keys", **new.handed_in(None))
    await is_refused(place, missing, "malformed", field="identity_signature")
    phone.identity, phone.prekey = SigningKey.generate(), {}
    await is_refused(place, phone.brings(), "malformed", field="identity_signature")


async def test_what_a_wallet_has_signed_for_is_good_once(place: Place, alice: Caller, bob: Caller) -> None:
    phone = Device(alice)
    first = phone.handed_in(1)
    assert (await alice.put("keys", **first)).status == 200
    phone.identity, phone.prekey = SigningKey.generate(), {}
    assert (await alice.put("keys", **phone.handed_in(2))).status == 200
    # Whoever has seen the first call and has her session cannot bring the old identity back.
    await is_refused(place, alice.put("keys", **first), "stale-keys", version=2)
    back = new_public_key(alice, 3, alice.key)
    assert (await alice.patch("me", **back)).body["keys_version"] == 2  # it is her key already
    other = new_public_key(alice, 3)
    assert (await alice.patch("me", **other)).body["keys_version"] == 3
    await is_refused(place, alice.patch("me", **back), "stale-keys", version=3)
    assert (await bob.get(f"users/{alice.wallet}")).body["public_key"] == other["public_key"]


async def test_a_nacl_key_that_the_wallet_did_not_sign_for_is_refused(place: Place, alice: Caller, bob: Caller) -> None:
    right = new_public_key(alice, 1)
    for wrong, kind, field in (
        ({**right, "public_key": bob.key}, "wrong-signature", "signature"),
        ({**right, "version": 2}, "wrong-signature", "signature"),
        ({**new_public_key(bob, 1)}, "wrong-signature", "signature"),
        ({"public_key": right["public_key"]}, "malformed", "version"),
        ({"public_key": right["public_key"], "version": 1}, "malformed", "signature"),
        ({"version": 1, "signature": right["signature"]}, "malformed", "public_key"),
        ({"public_key": "AAAA", "version": 1, "signature": right["signature"]}, "malformed", "public_key"),
        ({}, "malformed", "body"),
    ):
        await is_refused(place, alice.patch("me", **wrong), kind, field=field)


async def test_a_device_of_another_is_out_of_reach(place: Place, bob: Caller, phone: Device) -> None:
    """With its own keys or with others, it is only told that the id cannot be had, as of a removed one."""
    taken = Device(bob, phone.id, phone.identity)
    await is_refused(place, bob.put("keys", **taken.handed_in(1)), "device-id-taken")
    await is_refused(place, bob.put("keys", **taken.handed_in(None)), "device-id-taken")
    await is_refused(place, bob.put("keys", **Device(bob, phone.id).handed_in(1)), "device-id-taken")
    before = await place.snapshot()
    answers = [await bob.delete(f"keys/{device}") for device in (phone.id, uuid4())]
    assert answers[0].body == answers[1].body
    refused(answers[0], 404, "no-such-device")
    assert await place.snapshot() == before


async def test_of_two_wallets_that_bring_the_same_device_id_at_once_one_has_it(
    place: Place, alice: Caller, bob: Caller
) -> None:
    one = Device(alice)
    two = Device(bob, one.id)
    answers = await asyncio.gather(*(device.owner.put("keys", **device.handed_in(1)) for device in (one, two)))
    assert sorted(answer.status for answer in answers) == [200, 409]
    assert await place.owner.fetchval("SELECT count(*) FROM chat.key_log WHERE event = 'device'") == 1


async def test_what_is_malformed_is_named(place: Place, phone: Device) -> None:
    key = phone.key(Use.ONE_TIME)
    short = base64.b64encode(bytes(31)).decode()
    for wrong, field in (
        ({"one_time_keys": [key, key]}, "one_time_keys"),
        ({"one_time_keys": [key], "last_resort_key": phone.key(Use.LAST_RESORT, key["key_id"])}, "one_time_keys"),
        ({"one_time_keys": [key] * 101}, "one_time_keys"),
        ({"one_time_keys": [{**key, "public_key": short}]}, "one_time_keys[0].public_key"),
        ({"one_time_keys": [{**key, "key_id": 0}]}, "one_time_keys[0].key_id"),
        ({"one_time_keys": [{**key, "more": 1}]}, "one_time_keys[0]"),
        ({"identity_key": short}, "identity_key"),
        ({"device_id": "phone"}, "device_id"),
        ({"name": "x" * 51}, "name"),
        ({"name": ""}, "name"),
        ({"signed_prekey": None}, "signed_prekey"),
        ({"version": 0}, "version"),
        ({"identity_signature": "0x"}, "identity_signature"),
        ({"identity_signature": "0x" + "0" * 8194}, "identity_signature"),
    ):
        await is_refused(place, phone.brings(**wrong), "malformed", field=field)
    huge = await phone.brings(one_time_keys=[{**key, "public_key": "A" * 4_000} for _ in range(100)])
    assert huge.status == 413


async def test_who_is_not_there_and_who_has_blocked_one_cannot_be_told_apart(
    place: Place, alice: Caller, bob: Caller, phone: Device
) -> None:
    assert (await alice.post(f"blocks/{bob.wallet}")).status == 204
    before = await place.snapshot()
    for path in ("users/{}", "users/{}/keys", "users/{}/key-log"):
        here, nowhere = [await bob.get(path.format(who.wallet)) for who in (alice, place.stranger())]
        refused(here, 404, "no-such-user")
        assert here.body == nowhere.body
    here, nowhere = [await bob.post(f"users/{who.wallet}/keys") for who in (alice, place.stranger())]
    refused(here, 404, "no-such-user")
    assert here.body == nowhere.body
    for path in ("users/0x12/keys", f"users/{alice.wallet.swapcase()}/keys"):
        refused(await bob.get(path), 422, "malformed", field="wallet")
    assert await place.snapshot() == before


async def test_without_a_session_nothing_is_told(place: Place, alice: Caller, phone: Device) -> None:
    nobody, before = place.stranger(), await place.snapshot()
    for path in ("me", "keys", "blocks", "users?q=al", f"users/{alice.wallet}", f"users/{alice.wallet}/keys"):
        assert (await nobody.get(path)).status == 401
    assert (await nobody.post(f"users/{alice.wallet}/keys")).status == 401
    assert (await nobody.put("keys", **phone.handed_in(2))).status == 401
    assert await place.snapshot() == before
