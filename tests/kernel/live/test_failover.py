"""A replica takes over that had not got everything: whoever listens is told to start over, and skips no word."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from entrepot.dev import postgres
from entrepot.dev.standby import Standby, following
from tests.conftest import ROLE, TestDatabase
from tests.kernel.followed import cluster
from tests.kernel.live.radio import on_air
from tests.kernel.live.test_database_crash import say

__all__ = ["cluster"]


@contextmanager
def behind(cluster: postgres.Server) -> Iterator[Standby]:
    """A replica that has stopped: what is said from now on never reaches it."""
    with following(cluster.get_uri()) as standby:
        standby.stop()
        with (standby.data / "postgresql.auto.conf").open("a") as file:
            file.write("primary_conninfo = ''\n")
        yield standby


class At(TestDatabase):
    """The same database at the server with that socket."""

    def __init__(self, folder: Path, database: TestDatabase) -> None:
        name = urlsplit(database.url).path
        self.owner_url, self.url = (f"postgresql://{role}:@{name}?host={folder}" for role in ("postgres", ROLE))


def take_over(standby: Standby) -> None:
    """It becomes a primary, with what it has."""
    standby.start()
    standby.promote()


async def cursor_after(database: TestDatabase, owner: asyncpg.Connection, word: str) -> str:
    """Says a word five times, and answers the cursor of the last."""
    async with on_air(database, owner) as radio, radio.tuned() as heard:
        for _ in range(5):
            await radio.say(word)
        await heard.words(5)
        return heard.cursor


async def test_a_cursor_of_what_was_lost_starts_over_even_when_the_numbers_have_passed_it(
    cluster: postgres.Server, studio: TestDatabase, owner: asyncpg.Connection
) -> None:
    """Two replicas take over, and both are on timeline 2: neither takes the other's cursor for its own."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(behind(cluster)) for _ in range(2))
        lost = await cursor_after(studio, owner, "lost")
        take_over(one)
        elsewhere = await cursor_after(At(one.folder, studio), owner, "elsewhere")
        take_over(other)
        async with on_air(At(other.folder, studio), owner) as radio:
            for number in range(20):
                await radio.say(str(number))
            for cursor in (lost, elsewhere):
                async with radio.tuned(after=cursor, ready=False) as back:
                    assert (await back.frame())["kind"] == "start_over"
                    await radio.say("new")
                    assert await back.words(1) == ["new"]
                    here = back.cursor
            await radio.say("newer")
        async with on_air(At(other.folder, studio), owner) as again, again.tuned(after=here) as back:
            assert await back.words(1) == ["newer"], "its own cursors are good, of any process"


async def test_who_listens_meanwhile_is_sent_away_and_starts_over(
    cluster: postgres.Server, studio: TestDatabase, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """The house's address leads to the other server from one moment to the next, as a virtual address does."""
    link = tmp_path / "server"
    (here,) = parse_qs(urlsplit(studio.url).query)["host"]
    link.symlink_to(here)
    with behind(cluster) as standby:
        async with on_air(At(link, studio), owner) as radio, radio.tuned() as heard:
            await radio.say("1", "2")
            assert await heard.words(2) == ["1", "2"]
            take_over(standby)
            link.unlink()
            link.symlink_to(standby.folder)
            await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", ROLE)
            await say(radio, [str(number) for number in range(20)])
            code, kinds = await heard.ended()
            assert (code, set(kinds) - {"beat"}) == (1001, set())
            async with radio.tuned(after=heard.cursor, ready=False) as back:
                assert (await back.frame())["kind"] == "start_over"
                await radio.say("new")
                assert await back.words(1) == ["new"]
