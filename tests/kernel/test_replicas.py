"""Reads from a replica: never older than what the caller has seen, and never an error of the replica's."""

from collections.abc import AsyncIterator, Iterator

import pytest

from entrepot.dev import postgres
from entrepot.dev.standby import Standby
from entrepot.kernel.db import replica as module
from entrepot.kernel.db.causal import UNKNOWN, Bookmark, Bookmarks, later
from tests.conftest import TestDatabase
from tests.kernel.conftest import Client, Serve
from tests.kernel.followed import BOOKMARK, Session, followed, is_up, on, primary, replica_of

PAUSE, RESUME = "SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()"


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Server]:
    with primary() as server:
        yield server


@pytest.fixture(scope="module")
def standby(cluster: postgres.Server) -> Iterator[Standby]:
    with followed(cluster) as made:
        yield made


@pytest.fixture
async def client(serve: Serve, standby: Standby, database: TestDatabase) -> AsyncIterator[Client]:
    async with serve(database_read_replica_url=replica_of(standby, database)) as made:
        await is_up(made)
        yield made
        if standby.is_running and await on(standby, "SELECT pg_is_in_recovery()"):
            await on(standby, RESUME)


def served(client: Client) -> dict[str, int]:
    return dict(client.house.database.replicas.served)


async def test_the_replica_serves_and_who_wrote_is_not_shown_less(client: Client, standby: Standby) -> None:
    writer, stranger = Session(client, "first"), Session(client, "first")
    assert await stranger.call("GET", "first") == 1
    assert served(client)["replica"] == 1
    assert stranger.bookmark, "with two replicas the next might be behind this one"
    await on(standby, PAUSE)
    assert await writer.add() == 2
    assert await stranger.call("GET", "first") == 1, "the stranger has seen nothing newer, so the replica will do"
    assert await writer.call("GET", "first") == 2
    assert served(client) == {"replica": 2, "primary": 0, "behind": 1, "failed": 0}


async def test_who_has_read_the_primary_does_not_go_back_to_the_replica(client: Client, standby: Standby) -> None:
    await on(standby, PAUSE)
    await Session(client, "first").add()
    reader = Session(client, "first")
    _, _, told = await client.call("GET", "/auth/me")
    reader.bookmark = told[BOOKMARK]
    assert await reader.call("GET", "first") == 2


async def test_a_write_is_waited_for_while_the_replica_is_about_to_have_it(client: Client) -> None:
    writer = Session(client, "first")
    for count in range(2, 42):
        assert await writer.add() == count
        assert await writer.call("GET", "first") == count
    assert served(client)["replica"] >= 20


async def test_a_missing_thing_was_seen_too(client: Client, standby: Standby) -> None:
    reader = Session(client, "none")
    assert await reader.call("GET", "none") is None
    assert reader.errors == [404]
    assert reader.bookmark


async def test_a_bookmark_that_is_not_ours_leads_to_the_primary(client: Client) -> None:
    forger = Session(client, "first", bookmark=Bookmarks([bytes(32)]).seal(Bookmark(1, 1, 1)))
    assert await forger.call("GET", "first") == 1
    assert served(client)["primary"] == 1


async def test_a_replica_that_lags_is_not_read(
    client: Client, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LAG", 0.5)
    await on(standby, PAUSE)
    await Session(client, "first").add()
    await is_up(client, "is too far behind")
    assert await Session(client, "first").call("GET", "first") == 2
    await on(standby, RESUME)
    await is_up(client)


async def test_the_cookie_carries_it_as_the_header_does(client: Client, standby: Standby) -> None:
    await on(standby, PAUSE)
    _, _, told = await client.call("PATCH", "/tally/tallies/first", json={"step": 1})
    cookie = told["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert told[BOOKMARK] in cookie
    name = cookie.partition(";")[0]
    _, made, _ = await client.call("GET", "/tally/tallies/first", headers={"Cookie": name})
    assert made["count"] == 2


async def test_without_replicas_nobody_is_told_anything(serve: Serve) -> None:
    async with serve() as alone:
        _, _, told = await alone.call("PATCH", "/tally/tallies/first", json={"step": 1})
        assert BOOKMARK not in told


def test_bookmarks_of_an_older_key_hold_and_altered_ones_do_not() -> None:
    old, new = Bookmarks([b"old"]), Bookmarks([b"old", b"new"])
    mark = Bookmark(2**63 + 5, 3, 0x1234_5678)
    token = old.seal(mark)
    assert new.open(token) == mark
    assert Bookmarks([b"new"]).open(token) == UNKNOWN
    assert new.open(token.replace("12345678", "12345677")) == UNKNOWN
    assert new.open("") == new.open("é-x-y-z") == UNKNOWN
    further = new.seal(mark._replace(lsn=mark.lsn + 1))
    assert later(further, token) == further
    assert later(token, further) == further
    assert later(further, new.seal(mark._replace(timeline=4, lsn=1))) != further


async def test_a_promoted_replica_is_not_read_any_more(client: Client, standby: Standby) -> None:
    standby.promote()
    assert await Session(client, "first").call("GET", "first") == 1
    await is_up(client, "is no replica")
    assert await Session(client, "first").call("GET", "first") == 1
    standby.stop()
    standby.build()
    standby.start()
    await is_up(client)
