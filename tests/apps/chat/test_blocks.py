"""Between two of whom one has blocked the other there is silence, both ways and everywhere but in groups."""

import asyncio

import msgspec

from entrepot.apps.chat.app import APP
from entrepot.apps.chat.calls.blocks import BlockPage
from entrepot.kernel.values import ENCODER, read_value
from tests.apps.chat.conftest import Caller, Place
from tests.apps.chat.devices import Device
from tests.apps.chat.test_groups import group_of, roster
from tests.apps.chat.test_stream import stream
from tests.callers import refused


async def is_silent(one: Caller, other: Caller, pair: str) -> None:
    """Neither can do anything with the other, and neither is told why."""
    for by, to in ((one, other), (other, one)):
        refused(await by.get(f"users/{to.wallet}"), 404, "no-such-user")
        refused(await by.get(f"users/{to.wallet}/keys"), 404, "no-such-user")
        refused(await by.post(f"users/{to.wallet}/keys"), 404, "no-such-user")
        refused(await by.get(f"users/{to.wallet}/key-log"), 404, "no-such-user")
        assert (await by.get("users", q=to.wallet)).body["items"] == []
        refused(await by.writes_to(to), 404, "no-such-user")
        refused(await by.writes_in(pair), 404, "no-such-conversation")
        refused(await by.post(f"conversations/{pair}/typing"), 404, "no-such-conversation")
        refused(await by.patch(f"conversations/{pair}", keeps_for=60), 404, "no-such-conversation")
        refused(await by.get(f"conversations/{pair}/devices"), 404, "no-such-conversation")


async def test_a_block_silences_both_and_taking_it_back_lets_both_speak(
    place: Place, alice: Caller, bob: Caller
) -> None:
    pair = (await alice.writes_to(bob)).body["conversation_id"]
    assert (await alice.post(f"blocks/{bob.wallet}")).status == 204
    before = await place.snapshot()
    await is_silent(alice, bob, pair)
    assert await place.snapshot() == before
    assert (await alice.delete(f"blocks/{bob.wallet}")).status == 204
    for by, to in ((alice, bob), (bob, alice)):
        assert (await by.writes_to(to)).status == 201
        assert [user["wallet_address"] for user in (await by.get("users", q=to.wallet)).body["items"]] == [to.wallet]


async def test_while_both_block_each_other_one_who_relents_changes_nothing(
    place: Place, alice: Caller, bob: Caller
) -> None:
    pair = (await alice.writes_to(bob)).body["conversation_id"]
    # He has blocked her first, to write again when it suits him: that she blocks him too must not fail, nor tell her.
    for by, whom in ((bob, alice), (alice, bob), (alice, bob)):
        assert (await by.post(f"blocks/{whom.wallet}")).status == 204
    assert (await bob.delete(f"blocks/{alice.wallet}")).status == 204
    await is_silent(alice, bob, pair)
    refused(await bob.delete(f"blocks/{alice.wallet}"), 404, "no-such-block")
    assert (await alice.delete(f"blocks/{bob.wallet}")).status == 204
    assert (await bob.writes_to(alice)).status == 201


async def test_a_block_does_not_tell_who_is_here_and_counts_when_they_come(place: Place, alice: Caller) -> None:
    late = place.stranger()
    assert (await alice.post(f"blocks/{late.wallet}")).status == 204
    assert [block["wallet_address"] for block in (await alice.get("blocks")).body["items"]] == [late.wallet]
    await late.sign_in(late.key)
    refused(await late.writes_to(alice), 404, "no-such-user")
    refused(await alice.post(f"blocks/{alice.wallet}"), 422, "malformed", field="wallet")


async def test_nothing_that_happens_to_the_one_is_heard_by_the_other(place: Place, alice: Caller, bob: Caller) -> None:
    pair = (await alice.writes_to(bob)).body["conversation_id"]
    await alice.post(f"blocks/{bob.wallet}")
    async with stream(alice) as hers, stream(bob) as his:
        await Device(bob).comes()
        await bob.post(f"conversations/{pair}/read", read_seq=1)
        assert (await his.hear())["kind"] == "own_keys_changed"
        assert await hers.is_quiet()
        await Device(alice).comes()
        assert (await hers.hear())["kind"] == "own_keys_changed"
        assert (await his.hear())["kind"] == "receipt"  # his own, for his other devices
        assert await his.is_quiet()
    await alice.delete(f"blocks/{bob.wallet}")
    assert (await bob.get(f"users/{alice.wallet}/keys")).body["roster"] == 2


async def test_the_list_shows_nothing_of_what_the_other_does_meanwhile(alice: Caller, bob: Caller) -> None:
    pair = (await bob.writes_to(alice)).body["conversation_id"]
    await alice.post(f"blocks/{bob.wallet}")
    before = (await bob.get("conversations")).body
    async with stream(alice):
        await alice.post(f"conversations/{pair}/read", read_seq=1)
        await Device(alice).comes()
        assert (await bob.get("conversations")).body == before
    await alice.delete(f"blocks/{bob.wallet}")
    shown = (await bob.get("conversations")).body["items"][0]
    assert (shown["other_read_seq"], shown["roster"]) == (1, 1)


async def test_ones_other_devices_hear_of_a_block_and_the_blocked_does_not(alice: Caller, bob: Caller) -> None:
    async with stream(alice) as hers, stream(bob) as his:
        for call in (alice.post, alice.post, alice.delete):
            await call(f"blocks/{bob.wallet}")
        heard = [await hers.hear() for _ in range(2)]
        assert [(each["kind"], each["wallet"], each["is_blocked"]) for each in heard] == [
            ("block_changed", bob.wallet, True),
            ("block_changed", bob.wallet, False),
        ]
        assert await his.is_quiet()


async def test_in_a_group_they_still_hear_each_other(place: Place, alice: Caller, bob: Caller) -> None:
    group = await group_of(alice, bob)
    await alice.post(f"blocks/{bob.wallet}")
    async with stream(alice) as hers:
        assert (await bob.writes_in(group, roster=await roster(bob, group))).status == 201
        assert (await hers.hear("message"))["message"]["sender_wallet"] == bob.wallet
    items = (await bob.get(f"conversations/{group}/devices")).body["items"]
    assert {item["wallet_address"] for item in items} == {alice.wallet, bob.wallet}


async def test_blocks_are_listed_page_by_page_the_newest_first(place: Place, alice: Caller) -> None:
    blocked = [place.stranger().wallet for _ in range(5)]
    for wallet in blocked:
        await alice.post(f"blocks/{wallet}")
    listed, cursor = [], ""
    while cursor is not None:
        body = (await alice.get("blocks", limit=2, **({"cursor": cursor} if cursor else {}))).body
        assert msgspec.json.decode(ENCODER.encode(msgspec.convert(body, BlockPage, dec_hook=read_value))) == body
        listed, cursor = [*listed, *body["items"]], body["next_cursor"]
    assert [block["wallet_address"] for block in listed] == blocked[::-1]


async def test_a_wallet_blocks_a_thousand_at_the_most(place: Place, alice: Caller, bob: Caller) -> None:
    await place.owner.execute(
        "INSERT INTO chat.blocks (user_id, blocked_wallet)"
        " SELECT id, '0x' || lpad(n::text, 40, '0') FROM chat.users, generate_series(1, 1000) n"
        " WHERE wallet_address = $1",
        alice.wallet,
    )
    before = await place.snapshot()
    refused(await alice.post(f"blocks/{bob.wallet}"), 409, "too-many-blocks", most=1000)
    assert (await alice.post("blocks/0x" + "1".rjust(40, "0"))).status == 204
    assert await place.snapshot() == before


async def test_a_conversation_that_begins_while_one_blocks_the_other_is_silent(place: Place, alice: Caller) -> None:
    others = [await place.member() for _ in range(15)]
    for other in others:
        calls = (other.writes_to(alice), alice.post(f"blocks/{other.wallet}"), other.writes_to(alice))
        await asyncio.gather(*calls)
        refused(await other.writes_to(alice), 404, "no-such-user")
    for name, statement in APP.invariants.items():
        assert await place.owner.fetch(statement) == [], name
