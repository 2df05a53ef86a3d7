"""Groups: nobody is in one that they did not join, roles decide, and every change stands in the conversation."""

import asyncio

import pytest

from tests.apps.chat.conftest import Caller, Place, opened_place
from tests.callers import refused
from tests.conftest import TestDatabase


async def group_of(owner: Caller, *others: Caller, is_public: bool = False) -> str:
    """A group that the others were invited to and have joined."""
    invited = [other.wallet for other in others]
    made = await owner.post("groups", name="Tenders", is_public=is_public, invite=invited)
    assert made.status == 201, made.body
    for other in others:
        joined = await other.post(f"groups/{made.body['id']}/members", wallet=other.wallet)
        assert (joined.status, joined.body["role"]) == (200, "member"), joined.body
    identity: str = made.body["id"]
    return identity


async def roster(caller: Caller, group: str) -> int:
    listed = (await caller.get("conversations")).body["items"]
    number: int = next(each["roster"] for each in listed if each["id"] == group)
    return number


async def test_who_is_invited_joins_and_reads_from_there_on(place: Place, alice: Caller, bob: Caller) -> None:
    group = await group_of(alice)
    await alice.writes_in(group)
    refused(await bob.get(f"groups/{group}"), 404, "no-such-group")
    refused(await bob.post(f"groups/{group}/members", wallet=bob.wallet), 404, "no-such-group")
    assert (await alice.post(f"groups/{group}/members", wallet=bob.wallet)).status == 200
    assert (await bob.get("groups")).body["items"][0]["is_invited"] is True
    assert (await bob.post(f"groups/{group}/members", wallet=bob.wallet)).body["members"] == 2
    refused(await bob.writes_in(group), 409, "stale-roster")
    sent = await bob.writes_in(group, roster=await roster(bob, group))
    assert sent.body["seq"] == 4
    items = (await bob.get(f"conversations/{group}/messages")).body["items"]
    assert [(item["seq"], item["event"] and item["event"]["kind"]) for item in items] == [(3, "joined"), (4, None)]
    assert [item["seq"] for item in (await alice.get(f"conversations/{group}/messages")).body["items"]] == [1, 2, 3, 4]
    listed = (await alice.get("conversations")).body["items"][0]
    assert (listed["group_name"], listed["other_wallet"], listed["unread"]) == ("Tenders", None, 2)


async def test_who_leaves_or_is_put_out_reads_and_writes_no_more(place: Place, alice: Caller, bob: Caller) -> None:
    carol = await place.member()
    group = await group_of(alice, bob, carol)
    refused(await bob.delete(f"groups/{group}/members", wallet=carol.wallet), 403, "not-for-members")
    assert (await alice.delete(f"groups/{group}/members", wallet=bob.wallet)).status == 204
    assert (await carol.delete(f"groups/{group}/members", wallet=carol.wallet)).status == 204
    for gone in (bob, carol):
        refused(await gone.get(f"conversations/{group}/messages"), 404, "no-such-conversation")
        refused(await gone.writes_in(group), 404, "no-such-conversation")
        refused(await gone.get(f"groups/{group}/members"), 404, "no-such-group")
    events = [item["event"] for item in (await alice.get(f"conversations/{group}/messages")).body["items"]]
    assert [(event["kind"], event.get("wallet")) for event in events][3:] == [
        ("gone", bob.wallet),
        ("gone", carol.wallet),
    ]
    refused(await alice.delete(f"groups/{group}/members", wallet=alice.wallet), 409, "owner-stays")


async def test_roles_decide_who_may_do_what(place: Place, alice: Caller, bob: Caller) -> None:
    carol, dave = await place.member(), await place.member()
    group = await group_of(alice, bob, carol)
    refused(await bob.post(f"groups/{group}/members", wallet=dave.wallet), 403, "not-for-members")
    refused(await bob.patch(f"groups/{group}", name="Mine"), 403, "not-for-members")
    assert (await alice.post(f"groups/{group}/members", wallet=bob.wallet, role="admin")).status == 200
    assert (await bob.patch(f"groups/{group}", name="Ours")).body["name"] == "Ours"
    assert (await bob.post(f"groups/{group}/members", wallet=dave.wallet)).status == 200
    refused(await bob.patch(f"groups/{group}", is_public=True), 403, "not-for-members")
    refused(await bob.delete(f"groups/{group}/members", wallet=alice.wallet), 403, "not-for-members")
    assert (await bob.delete(f"groups/{group}/members", wallet=carol.wallet)).status == 204
    refused(await alice.patch(f"groups/{group}", owner=carol.wallet), 404, "not-of-this-group")
    assert (await alice.patch(f"groups/{group}", owner=bob.wallet)).body["owner_wallet"] == bob.wallet
    roles = {each["wallet"]: each["role"] for each in (await bob.get(f"groups/{group}/members")).body["items"]}
    assert roles == {alice.wallet: "admin", bob.wallet: "owner"}
    refused(await alice.delete(f"groups/{group}"), 403, "not-for-members")
    assert (await bob.delete(f"groups/{group}")).status == 204
    for former in (alice, bob):
        refused(await former.get(f"groups/{group}"), 404, "no-such-group")
        refused(await former.writes_in(group), 404, "no-such-conversation")


async def test_public_groups_are_found_by_name_and_joined_by_anyone(alice: Caller, bob: Caller) -> None:
    group = await group_of(alice, is_public=True)
    await group_of(alice)
    assert [each["id"] for each in (await bob.get("groups", q="tend")).body["items"]] == [group]
    assert (await bob.get("groups", q="%")).body["items"] == []
    assert (await bob.get("groups")).body["items"] == []
    assert (await bob.post(f"groups/{group}/members", wallet=bob.wallet)).body["role"] == "member"
    refused(await bob.post(f"groups/{group}/members", wallet=bob.wallet), 409, "already-member")


async def test_an_invitation_is_declined_or_taken_back(place: Place, alice: Caller, bob: Caller) -> None:
    group = await group_of(alice)
    for by in (bob, alice):
        await alice.post(f"groups/{group}/members", wallet=bob.wallet)
        assert (await by.delete(f"groups/{group}/members", wallet=bob.wallet)).status == 204
        refused(await bob.get(f"groups/{group}"), 404, "no-such-group")
    refused(await alice.post(f"groups/{group}/members", wallet=place.stranger().wallet), 404, "no-such-user")


async def test_members_come_in_pages(place: Place, alice: Caller) -> None:
    others = [await place.member() for _ in range(5)]
    group = await group_of(alice, *others)
    wallets, cursor = [], None
    while True:
        page = (await alice.get(f"groups/{group}/members", limit=2, **({"cursor": cursor} if cursor else {}))).body
        wallets += [each["wallet"] for each in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert wallets == [other.wallet for other in reversed(others)] + [alice.wallet]


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "x" * 101}, {"name": "x", "invite": ["0x12"]}, {}])
async def test_what_is_no_group_is_refused(place: Place, alice: Caller, wrong: dict[str, object]) -> None:
    before = await place.snapshot()
    refused(await alice.post("groups", **wrong), 422, "malformed")
    assert await place.snapshot() == before


async def test_so_many_groups_a_day_and_no_more(database: TestDatabase) -> None:
    async with opened_place(database, groups_per_day=2) as place:
        alice = await place.member()
        assert [(await alice.post("groups", name="x")).status for _ in range(3)] == [201, 201, 429]
        await place.owner.execute("UPDATE chat.groups SET created_at = created_at - interval '20 hours'")
        late = await alice.post("groups", name="x")
        assert 4 * 3_600 - 60 < late.body["retry_after"] <= 4 * 3_600
        assert (await alice.writes_to(await place.member())).status == 201


async def test_groups_that_are_made_at_once_are_all_counted(database: TestDatabase) -> None:
    async with opened_place(database, groups_per_day=2) as place:
        for _ in range(5):
            alice = await place.member()
            made = await asyncio.gather(*(alice.post("groups", name="x") for _ in range(8)))
            assert sorted(answer.status for answer in made) == [201, 201, *[429] * 6]
