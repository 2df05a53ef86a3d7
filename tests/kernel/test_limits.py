"""Rate limits: so many a minute, then 429 with the seconds to wait."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.http.limits import Limit
from entrepot.kernel.refusal import TooMany
from tests.kernel.conftest import Serve


class Clock:
    """A clock that the test moves."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 5_000), st.floats(0, 1e7))
def test_exactly_so_many_may_come_at_once(per_minute: int, began: float) -> None:
    limit = Limit(per_minute, Clock(began))
    for _ in range(per_minute):
        limit.count("a")
    with pytest.raises(TooMany):
        limit.count("a")


@given(st.integers(1, 600), st.floats(0, 1e7), st.lists(st.floats(0, 1.5), max_size=20))
def test_who_waits_as_long_as_told_is_served_and_not_a_second_earlier(
    per_minute: int, began: float, pauses: list[float]
) -> None:
    clock = Clock(began)
    limit = Limit(per_minute, clock)
    for _ in range(per_minute):
        limit.count("a")
    for pause in [0.0, *pauses]:
        clock.now += pause
        with suppress(TooMany):
            limit.count("a")
    with suppress(TooMany):
        while True:
            limit.count("a")
    with pytest.raises(TooMany) as refused:
        limit.count("a")
    assert 1 <= refused.value.retry_after <= 60
    clock.now += refused.value.retry_after - 1
    with pytest.raises(TooMany):
        limit.count("a")
    clock.now += 1
    limit.count("a")


def test_a_refused_call_costs_nothing() -> None:
    clock = Clock()
    limit = Limit(6, clock)
    for _ in range(6):
        limit.count("a")
    for _ in range(100):
        with pytest.raises(TooMany):
            limit.count("a")
    clock.now = 10.0
    limit.count("a")


def test_everyone_has_a_limit_of_their_own() -> None:
    limit = Limit(1, Clock())
    limit.count("a")
    limit.count("b")
    with pytest.raises(TooMany):
        limit.count("a")


def test_those_who_went_away_are_forgotten() -> None:
    clock = Clock()
    limit = Limit(600, clock)
    limit.sweep_at = 100
    for number in range(100):
        limit.count(str(number))
    clock.now = 60.0
    limit.count("new")
    assert len(limit._due) == 1


async def test_the_call_over_the_limit_is_refused_and_told_when_to_come_again(serve: Serve) -> None:
    async with serve(reads_per_minute=3, writes_per_minute=1) as client:
        assert [(await client.call("GET", "/tally/tallies"))[0] for _ in range(3)] == [200] * 3
        status, answer, headers = await client.call("GET", "/tally/tallies/first")
        assert status == 429
        assert headers["content-type"] == "application/problem+json"
        assert answer["retry_after"] == int(headers["retry-after"])
        assert 1 <= int(headers["retry-after"]) <= 20
        ask = {"name": "a"}
        assert [(await client.call("POST", "/tally/tallies", json=ask))[0] for _ in range(2)] == [201, 429]


async def test_behind_a_proxy_the_caller_is_who_the_proxy_says(serve: Serve) -> None:
    async with serve(reads_per_minute=1, trusted_proxies=1) as client:

        async def ask(*forwarded: str) -> int:
            headers = [("X-Forwarded-For", value) for value in forwarded]
            async with client.http.get(client.url + "/tally/tallies", headers=headers) as answer:
                return answer.status

        assert await ask("203.0.113.1") == 200
        assert await ask("203.0.113.2") == 200
        assert await ask("203.0.113.1") == 429
        assert await ask("203.0.113.9, 203.0.113.1") == 429, "what the caller says of itself counts for nothing"
        assert await ask("203.0.113.9", "203.0.113.1") == 429, "nor in a header of its own"


async def test_without_a_proxy_nobody_can_say_who_they_are(serve: Serve) -> None:
    async with serve(reads_per_minute=1) as client:
        statuses = [
            (await client.call("GET", "/tally/tallies", headers={"X-Forwarded-For": f"203.0.113.{n}"}))[0]
            for n in range(2)
        ]
        assert statuses == [200, 429]
