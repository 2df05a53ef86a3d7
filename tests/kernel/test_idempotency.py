"""Idempotency: one key, one effect, one answer."""

import asyncio

import asyncpg
import pytest

from entrepot.kernel.http.idempotency import input_hash, purge_keys
from tests.kernel.conftest import OPERATOR, Client

ASK = {"name": "sold", "step": 2}


async def stands(owner: asyncpg.Connection, name: str = "sold") -> int | None:
    found: int | None = await owner.fetchval("SELECT count FROM tally.tallies WHERE name = $1", name)
    return found


async def test_the_same_command_again_has_the_same_answer_and_no_effect(
    client: Client, owner: asyncpg.Connection
) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await client.call("POST", "/tally/tallies", json=ASK, headers=key)
    again = await client.call("POST", "/tally/tallies", json={"step": 2, "name": "sold"}, headers=key)
    assert first[:2] == again[:2] == (201, {"name": "sold", "count": 2})
    assert first[2]["content-type"] == again[2]["content-type"] == "application/json"
    assert await stands(owner) == 2


async def test_without_a_key_every_command_counts(client: Client, owner: asyncpg.Connection) -> None:
    for _ in range(2):
        await client.call("POST", "/tally/tallies", json=ASK)
    assert await stands(owner) == 4
    assert await owner.fetchval("SELECT count(*) FROM core.idempotency_keys") == 0


@pytest.mark.parametrize("other", [{"name": "sold", "step": 3}, {"name": "sold"}, {"name": "other", "step": 2}])
async def test_the_same_key_with_another_input_is_refused(
    client: Client, owner: asyncpg.Connection, other: dict[str, object]
) -> None:
    key = {"Idempotency-Key": "k1"}
    await client.call("POST", "/tally/tallies", json=ASK, headers=key)
    status, answer, _ = await client.call("POST", "/tally/tallies", json=other, headers=key)
    assert (status, answer["type"]) == (409, "/problems/key-reused")
    assert await stands(owner) == 2
    assert await stands(owner, "other") is None


async def test_the_same_key_at_another_address_is_refused(client: Client) -> None:
    key = {"Idempotency-Key": "k1"}
    await client.call("POST", "/tally/tallies", json=ASK, headers=key)
    assert (await client.call("POST", "/tally/strict", json=ASK, headers=key))[0] == 409


async def test_a_key_belongs_to_its_wallet(client: Client, owner: asyncpg.Connection) -> None:
    key = {"Idempotency-Key": "k1"}
    await client.call("POST", "/tally/tallies", json=ASK, headers=key)
    status, answer, _ = await client.call("POST", "/tally/tallies", json=ASK, headers=key, token=OPERATOR)
    assert (status, answer["count"]) == (201, 4)
    assert await stands(owner) == 4


@pytest.mark.parametrize("times", [2, 8])
async def test_at_the_same_moment_there_is_one_effect_and_everyone_hears_of_it(
    client: Client, owner: asyncpg.Connection, times: int
) -> None:
    calls = [client.call("POST", "/tally/tallies", json=ASK, headers={"Idempotency-Key": "k1"}) for _ in range(times)]
    answers = await asyncio.gather(*calls)
    assert [answer[:2] for answer in answers] == [(201, {"name": "sold", "count": 2})] * times
    assert await stands(owner) == 2


async def test_a_second_request_waits_for_the_first_and_takes_over_when_that_fails(
    client: Client, owner: asyncpg.Connection
) -> None:
    async with asyncio.timeout(20), owner.transaction():
        await owner.execute("LOCK TABLE tally.tallies IN EXCLUSIVE MODE")
        key = {"Idempotency-Key": "k1"}
        refused = asyncio.create_task(client.call("POST", "/tally/full", json=ASK, headers=key))
        await waiting(owner, 1)
        again = asyncio.create_task(client.call("POST", "/tally/full", json=ASK, headers=key))
        await waiting(owner, 2)
    assert [(await task)[0] for task in (refused, again)] == [409, 409]
    assert (await again)[1]["type"] == "/problems/full"
    assert await stands(owner) is None


async def waiting(owner: asyncpg.Connection, number: int) -> None:
    """Until that many requests wait for a lock."""
    while await owner.fetchval("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted") < number:
        await asyncio.sleep(0.01)


async def test_a_refused_command_is_not_kept_and_its_key_is_free(client: Client, owner: asyncpg.Connection) -> None:
    key = {"Idempotency-Key": "k1"}
    status, answer, _ = await client.call("POST", "/tally/full", json=ASK, headers=key)
    assert (status, answer["name"], answer["count"]) == (409, "sold", 2)
    assert await owner.fetchval("SELECT count(*) FROM core.idempotency_keys") == 0
    assert await stands(owner) is None
    assert (await client.call("POST", "/tally/tallies", json=ASK, headers=key))[0] == 201


async def test_a_malformed_command_does_not_take_the_key(client: Client, owner: asyncpg.Connection) -> None:
    key = {"Idempotency-Key": "k1"}
    assert (await client.call("POST", "/tally/tallies", json={"name": ""}, headers=key))[0] == 422
    assert await owner.fetchval("SELECT count(*) FROM core.idempotency_keys") == 0


async def test_a_command_that_needs_a_key_is_refused_without_one(client: Client, owner: asyncpg.Connection) -> None:
    status, answer, _ = await client.call("POST", "/tally/strict", json=ASK)
    assert (status, answer["field"]) == (422, "Idempotency-Key")
    assert (await client.call("POST", "/tally/strict", json=ASK, headers={"Idempotency-Key": ""}))[0] == 422
    assert (await client.call("POST", "/tally/strict", json=ASK, headers={"Idempotency-Key": "k" * 256}))[0] == 422
    assert await stands(owner) is None
    assert (await client.call("POST", "/tally/strict", json=ASK, headers={"Idempotency-Key": "k" * 255}))[0] == 200


async def test_a_command_with_nothing_to_answer_is_repeated_too(client: Client, owner: asyncpg.Connection) -> None:
    key = {"Idempotency-Key": "k1"}
    for _ in range(2):
        status, answer, headers = await client.call("DELETE", "/tally/tallies/first", headers=key, token=OPERATOR)
        assert (status, answer) == (204, None)
        assert "content-type" not in headers
    assert await owner.fetchval("SELECT status FROM core.idempotency_keys") == 204


async def test_keys_are_forgotten_after_a_week(client: Client, owner: asyncpg.Connection) -> None:
    for key in ("old", "new"):
        await client.call("POST", "/tally/tallies", json=ASK, headers={"Idempotency-Key": key})
    await owner.execute("UPDATE core.idempotency_keys SET created_at = now() - interval '8 days' WHERE key = 'old'")
    async with client.house.database.write() as db:
        await purge_keys(db)
    assert [row[0] for row in await owner.fetch("SELECT key FROM core.idempotency_keys")] == ["new"]


def test_the_order_of_members_is_no_difference_and_the_route_is_one() -> None:
    assert input_hash("POST /a", {"x": 1, "y": 2}) == input_hash("POST /a", {"y": 2, "x": 1})
    assert input_hash("POST /a", {"x": 1}) != input_hash("POST /b", {"x": 1})
    assert input_hash("POST /a", {"x": 1}) != input_hash("POST /a", {"x": "1"})
