"""Reads from a replica: never older than what the caller has seen, and never an error of the replica's."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest

from entrepot.dev.standby import Standby
from entrepot.kernel.db import replica as module
from entrepot.kernel.db.causal import UNKNOWN, Bookmark, Bookmarks, later
from entrepot.kernel.db.listener import listen
from tests.conftest import TestDatabase
from tests.kernel.conftest import Client, Serve
from tests.kernel.followed import BOOKMARK, Session, cluster, is_up, on, replica_of, standby

__all__ = ["cluster", "standby"]
PAUSE, RESUME = "SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()"


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


async def test_who_is_sent_a_link_finds_what_the_replica_has_not_yet(client: Client, standby: Standby) -> None:
    await on(standby, PAUSE)
    assert await Session(client, "new").add() == 1
    assert await Session(client, "").call("GET", "new") == 1


async def test_a_missing_thing_was_seen_too(client: Client) -> None:
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


async def test_a_replica_that_hangs_is_waited_for_a_second_or_so_and_no_more(client: Client, standby: Standby) -> None:
    standby.freeze()
    try:
        reader = Session(client, "first")
        assert await reader.call("GET", "first") == 1, "a connection to it is never made"
        assert reader.slowest < 5
        assert served(client)["failed"] == 1
        await is_up(client, "does not answer")
    finally:
        standby.thaw()
    await is_up(client)


async def test_the_cookie_carries_it_as_the_header_does(client: Client, standby: Standby) -> None:
    await on(standby, PAUSE)
    _, _, told = await client.call("PATCH", "/tally/tallies/first", json={"step": 1})
    name = told["Set-Cookie"].partition(";")[0]
    assert name.endswith(told[BOOKMARK])
    _, made, _ = await client.call("GET", "/tally/tallies/first", headers={"Cookie": name})
    assert made["count"] == 2


@pytest.mark.parametrize(("public_url", "is_secure"), [("https://market.example", True), ("http://localhost", False)])
async def test_no_script_reads_the_cookie_no_other_site_sends_it_and_https_stays_https(
    serve: Serve, standby: Standby, database: TestDatabase, public_url: str, *, is_secure: bool
) -> None:
    async with serve(database_read_replica_url=replica_of(standby, database), public_url=public_url) as client:
        for method, path in (("GET", "/tally/tallies"), ("GET", "/auth/me")):  # the hot lane's, and Litestar's
            _, _, told = await client.call(method, path)
            given = {part.strip().lower() for part in told["Set-Cookie"].split(";")[1:]}
            assert given - {"secure"} == {"httponly", "samesite=strict", "path=/", "max-age=60"}
            assert ("secure" in given) == is_secure


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


async def follows_no_more(client: Client, standby: Standby) -> None:
    """It is told to be a replica again, and not built anew: what it has is of a timeline of its own."""
    told = standby.data / "standby.signal"
    told.touch()
    shutil.chown(told, standby.data.owner(), standby.data.group())
    standby.start()
    await is_up(client, "is on timeline 2, not 1")
    assert await Session(client, "first").call("GET", "first") == 1


async def test_a_promoted_replica_is_not_read_any_more(
    client: Client, standby: Standby, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL", 3.0)
    await asyncio.sleep(0.3)  # from now on it is looked at after three seconds
    standby.promote()
    parted = await asyncpg.connect(replica_of(standby, database))
    await parted.execute("UPDATE tally.tallies SET count = 1000")
    await parted.close()
    assert await Session(client, "first").call("GET", "first") == 1, "it tells itself that it is no replica"
    assert served(client) == {"replica": 0, "primary": 0, "behind": 1, "failed": 0}
    await is_up(client, "is no replica")
    assert await Session(client, "first").call("GET", "first") == 1
    monkeypatch.setattr(module, "POLL", 0.25)
    standby.stop()
    await follows_no_more(client, standby)
    standby.stop()
    standby.build()
    standby.start()
    await is_up(client)


async def test_a_replica_at_the_address_of_the_bells_is_asked_ever_more_seldom(
    standby: Standby, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a failover that the address has not followed: it takes connections, and no LISTEN."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1.5):
            await listen(standby.address("postgres", "postgres"), lambda: None)
    asked = caplog.text.count("cannot listen")
    assert 2 <= asked <= 5, asked
