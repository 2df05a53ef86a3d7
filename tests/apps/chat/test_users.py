"""Users: what they are called, how they are found, and that nobody gets a list of everybody."""

import asyncio

import msgspec
import pytest

from entrepot.apps.chat.calls.users import FoundUsers, Me, User
from entrepot.kernel.values import ENCODER, read_value
from tests.apps.chat.conftest import Caller, Place
from tests.callers import refused


async def named(place: Place, *names: str) -> list[Caller]:
    """Somebody for each name."""
    made = [await place.member() for _ in names]
    for caller, name in zip(made, names, strict=True):
        assert (await caller.patch("me", name=name)).status == 200
    return made


async def found(by: Caller, q: str) -> list[str | None]:
    """The names, or where there is none the wallets."""
    answer = await by.get("users", q=q)
    assert answer.status == 200, answer.body
    return [user["name"] or user["wallet_address"] for user in answer.body["items"]]


async def test_who_signs_in_is_a_user_with_the_key_that_was_brought(alice: Caller, bob: Caller) -> None:
    me = (await alice.get("me")).body
    assert (me["wallet_address"], me["name"], me["public_key"]) == (alice.wallet, None, alice.key)
    assert me["keys_version"] == 0
    shown = (await bob.get(f"users/{alice.wallet.lower()}")).body
    assert shown == {name: me[name] for name in ("wallet_address", "name", "public_key", "created_at")}
    for body, kind in ((me, Me), (shown, User), ((await bob.get("users", q=alice.wallet)).body, FoundUsers)):
        assert msgspec.json.decode(ENCODER.encode(msgspec.convert(body, kind, dec_hook=read_value))) == body


async def test_a_name_is_given_changed_and_taken_away(alice: Caller, bob: Caller) -> None:
    for name in ("Ada", "Ada Lovelace", None):
        assert (await alice.patch("me", name=name)).body["name"] == name
        assert (await bob.get(f"users/{alice.wallet}")).body["name"] == name
    for wrong in ("", "x" * 51, "two\nlines", "\u202egnp.exe", 5):
        refused(await alice.patch("me", name=wrong), 422, "malformed", field="name")


async def test_people_are_found_by_the_beginning_of_their_names_in_any_case(place: Place, alice: Caller) -> None:
    await named(place, "Grace Hopper", "grace Kelly", "GRAHAM", "Ingrace", "50% off_er")
    assert await found(alice, "grace") == ["Grace Hopper", "grace Kelly"]
    assert await found(alice, "GR") == ["Grace Hopper", "grace Kelly", "GRAHAM"]
    assert await found(alice, "50%") == ["50% off_er"]
    for none in ("g_ace", "%r", "race", "grace hopper jr"):
        assert await found(alice, none) == []


async def test_people_are_found_by_any_part_of_their_wallets(place: Place, alice: Caller, bob: Caller) -> None:
    wallet = bob.wallet
    for part in (wallet, wallet.lower(), wallet[:8], wallet[2:9].upper(), wallet[-6:], wallet[15:30]):
        assert wallet in await found(alice, part), part
    assert wallet not in await found(alice, "0x" + wallet[9:16])  # which is no beginning
    assert await found(alice, wallet[-3:]) == []
    (both,) = await named(place, wallet[20:26])
    assert await found(alice, wallet[20:26]) == [wallet[20:26], wallet]
    assert (await both.get("users", q=wallet[20:26])).body["items"][0]["wallet_address"] == wallet


@pytest.mark.parametrize("q", ["", "a", "x" * 51])
async def test_what_is_too_short_or_too_long_to_search_for_is_refused(alice: Caller, q: str) -> None:
    refused(await alice.get("users", q=q), 422, "malformed", field="q")
    refused(await alice.get("users"), 422, "malformed", field="q")


async def test_nobody_finds_themselves_and_never_more_than_twenty(place: Place, alice: Caller) -> None:
    await alice.patch("me", name="Crowd 000")
    await place.owner.execute(
        "INSERT INTO chat.users (wallet_address, name) SELECT '0xabcd' || lpad(n::text, 36, '0'),"
        " 'Crowd ' || lpad(n::text, 3, '0') FROM generate_series(1, 50) n"
    )
    assert await found(alice, "crowd") == [f"Crowd {n:03}" for n in range(1, 21)]
    assert len(await found(alice, "abcd0000")) == 20
    assert await found(alice, alice.wallet) == []


async def test_those_whom_a_block_hides_take_no_place_among_the_twenty(
    place: Place, alice: Caller, bob: Caller
) -> None:
    await bob.patch("me", name="Crowd 001")
    await place.owner.execute(
        "INSERT INTO chat.users (wallet_address, name) SELECT '0x1234' || lpad(n::text, 36, '0'),"
        " 'Crowd ' || lpad(n::text, 3, '0') FROM generate_series(2, 30) n"
    )
    await bob.post(f"blocks/{alice.wallet}")
    await alice.post("blocks/0x1234" + "2".rjust(36, "0"))
    assert await found(alice, "crowd") == [f"Crowd {n:03}" for n in range(3, 23)]


async def test_the_search_looks_at_few_however_many_there_are(place: Place, alice: Caller) -> None:
    """Whatever the machine is busy with: what matters is what the statement has to look at."""
    await place.owner.execute(
        "INSERT INTO chat.users (wallet_address, name) SELECT '0x' || encode(substr(sha256(n::text::bytea), 1, 20),"
        " 'hex'), 'Name ' || md5(n::text) FROM generate_series(1, 20000) n"
    )
    await place.owner.execute("ANALYZE chat.users")
    sampled = "SELECT (histogram_bounds::text::text[])[50] FROM pg_stats WHERE tablename = 'idx_users_wallet_part'"
    wallet = await place.owner.fetchval(sampled)
    await place.owner.execute("SELECT pg_stat_reset()")
    for q in ("name 0", "name 12ab", "nobody", "0xbeef", wallet[20:24], wallet[20:26]):
        for _ in range(7):  # so often that PostgreSQL may settle for a plan that serves every value
            await found(alice, q)
    await asyncio.sleep(1.1)  # a connection tells what it has read at most once a second, and when it is used again
    await asyncio.gather(*(alice.get("me") for _ in range(20)))
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'chat.users'::regclass"
    assert 0 < await place.owner.fetchval(read) < 42 * 100
