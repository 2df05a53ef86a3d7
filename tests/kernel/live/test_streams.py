"""Live streams as a listener notices them: order, resumption, and how they end."""

import asyncio
import hashlib
import json
import time
from datetime import timedelta

import asyncpg
import pytest

from entrepot.kernel import clock
from entrepot.kernel.db.bell import Bell
from entrepot.kernel.db.database import Database
from entrepot.kernel.http.frames import LiveCursor
from entrepot.kernel.http.live import Live
from entrepot.kernel.http.socket import Socket
from entrepot.kernel.work import outbox
from entrepot.kernel.work.outbox import Letter, publish
from tests.conftest import TestDatabase, settings_for
from tests.kernel.conftest import WALLET
from tests.kernel.live.conftest import HEARTBEAT
from tests.kernel.live.radio import Radio, Said, Set, on_air, say

OTHER = "0x27b1Fdb04752BBc536007A920D24ACB045561c26"


async def test_a_listener_hears_what_is_said_from_then_on_in_its_order(radio: Radio) -> None:
    await radio.say("before")
    async with radio.tuned() as one, radio.tuned("two") as two:
        await radio.say("a", "b")
        await radio.say("elsewhere", station="two")
        await radio.say("c")
        assert await one.words(3) == ["a", "b", "c"]
        assert await two.words(1) == ["elsewhere"]


async def test_only_one_programme_may_be_followed(radio: Radio) -> None:
    async with radio.tuned(about="news") as heard:
        began = heard.cursor
        await radio.say("rain", about="weather")
        await radio.say("noise")
        await radio.say("peace", about="news")
        assert await heard.words(1) == ["peace"]
    async with radio.tuned(about="news", after=began) as again:
        assert await again.words(1) == ["peace"]


async def test_whoever_comes_back_misses_nothing_and_hears_nothing_twice(radio: Radio) -> None:
    async with radio.tuned() as heard:
        await radio.say("a", "b", "c")
        assert await heard.words(2) == ["a", "b"]
        in_the_middle_of_a_transaction = heard.cursor
    await radio.say("d")
    async with radio.tuned(after=in_the_middle_of_a_transaction) as again:
        await radio.say("e")
        assert await again.words(3) == ["c", "d", "e"]


async def test_a_slow_transaction_is_heard_by_those_who_stayed_and_those_who_left(radio: Radio) -> None:
    """The trap of growing numbers, through the whole of it."""
    async with radio.tuned() as stays:
        async with radio.house.database.write() as slow:
            await publish(slow, [Letter("radio:one", Said("slow"))])
            await radio.say("quick")
            assert await stays.words(1) == ["quick"]
            left_with = stays.cursor
        assert await stays.words(1) == ["slow"]
    async with radio.tuned(after=left_with) as again:
        await radio.say("last")
        assert await again.words(2) == ["slow", "last"]


async def test_pages_of_missed_words_and_live_ones_join_without_a_seam(radio: Radio) -> None:
    async with radio.tuned() as heard:
        began = heard.cursor
    said = [f"{number}" for number in range(1200)]
    for start in range(0, 1200, 100):
        await radio.say(*said[start : start + 100])
    speaking = asyncio.create_task(speak(radio, [f"live {number}" for number in range(50)]))
    async with radio.tuned(after=began) as again:
        heard_now = await again.words(1250)
    await speaking
    assert heard_now == said + [f"live {number}" for number in range(50)]


async def speak(radio: Radio, words: list[str]) -> None:
    for word in words:
        await radio.say(word)


async def test_a_quiet_stream_beats_and_each_beat_is_a_cursor(radio: Radio) -> None:
    async with radio.tuned() as heard:
        for _ in range(3):
            assert (await heard.frame(5 * HEARTBEAT))["kind"] == "beat"
        assert heard.cursor
        with_beat = heard.cursor
    await radio.say("later")
    async with radio.tuned(after=with_beat) as again:
        assert await again.words(1) == ["later"]


async def delays(heard: Set, speaker: Database) -> list[float]:
    """Seconds from before a word is said to when it is heard, the shortest first."""
    await say(speaker, "warm")
    await heard.words(1)
    took = []
    for number in range(10):
        began = time.perf_counter()
        await say(speaker, str(number))
        await heard.words(1)
        took.append(time.perf_counter() - began)
    return sorted(took)


async def test_the_bell_of_another_process_wakes_it_at_once(radio: Radio, studio: TestDatabase) -> None:
    """Without it, a word would take up to a second."""
    async with Database(studio.url, settings_for(studio)) as other, radio.tuned() as heard:
        assert (await delays(heard, other))[5] < 0.2


async def test_a_word_of_its_own_process_needs_no_bell(radio: Radio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bell, "ring", lambda _: None)
    async with radio.tuned() as heard:
        assert (await delays(heard, radio.house.database))[5] < 0.2


async def test_a_word_costs_its_own_process_one_read(
    studio: TestDatabase, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not another one when its own bell comes back."""
    reads: list[Live] = []
    read = Live._read

    async def counted(live: Live) -> None:
        reads.append(live)
        await read(live)

    async with on_air(studio, owner) as radio, radio.tuned() as heard:
        monkeypatch.setattr(Live, "_read", counted)
        for number in range(20):
            await radio.say(str(number))
            await heard.words(1)
            await asyncio.sleep(0.03)
    assert 20 <= len(reads) < 30


async def test_connections_that_are_killed_lose_nothing(radio: Radio, owner: asyncpg.Connection) -> None:
    """Both the one that listens and those that read, again and again while words are said."""
    said = [str(number) for number in range(300)]
    async with radio.tuned() as heard:
        hearing = asyncio.create_task(heard.words(300, 30))
        for start in range(0, 300, 10):
            for word in said[start : start + 10]:
                await owner.execute(
                    "INSERT INTO core.outbox (topic, body) VALUES ('radio:one', $1)",
                    json.dumps({"kind": "said", "word": word}),
                )
            await owner.execute("SELECT pg_notify('entrepot', '')")
            if start % 50 == 0:
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await asyncio.sleep(0.02)
        assert await hearing == said
        assert await listening(owner), "somebody listens again"


async def listening(owner: asyncpg.Connection) -> bool:
    """Whether there is a connection whose last statement was LISTEN, after some patience."""
    for _ in range(100):
        if await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'"
        ):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_cursor_that_is_too_old_starts_over(radio: Radio, owner: asyncpg.Connection) -> None:
    async with radio.tuned() as heard:
        old = heard.cursor
    await radio.say("forgotten")
    await owner.execute("UPDATE core.outbox SET created_at = now() - interval '25 hours'")
    await outbox.purge_outbox(radio.house.database)
    async with radio.tuned(after=old) as again:
        assert (await again.frame())["kind"] == "start_over"
        await radio.say("new")
        assert await again.words(1) == ["new"]
        assert again.cursor != old


async def test_a_cursor_of_another_servers_future_starts_over(radio: Radio) -> None:
    async with radio.tuned() as heard:
        history = LiveCursor.parse(heard.cursor).history
    for after in ("900000000000:900000000000:", f"{history}.900000000000:900000000000:", "3:3:", "anothers.3:3:"):
        async with radio.tuned(after=after, ready=False) as heard:
            assert (await heard.frame())["kind"] == "start_over"
            await radio.say("here")
            assert await heard.words(1) == ["here"]


async def test_what_has_expired_is_told_to_nobody_who_comes_back_and_is_not_kept(
    radio: Radio, owner: asyncpg.Connection
) -> None:
    async with radio.tuned() as heard:
        old = heard.cursor
        await radio.say("before")
        async with radio.house.database.write() as db:
            short, later = clock.now() + timedelta(seconds=0.5), clock.now() + timedelta(hours=1)
            await publish(db, [Letter("radio:one", Said("later"), expires_at=later)])
        async with radio.house.database.write() as db:
            await publish(db, [Letter("radio:one", Said("short"), expires_at=short)])
        assert await heard.words(3) == ["before", "later", "short"]
        newest = heard.cursor
    await asyncio.sleep(0.6)
    async with radio.tuned(after=old) as again:
        assert await again.words(2) == ["before", "later"]
        assert (await again.frame())["kind"] == "beat"
    await outbox.purge_expired(radio.house.database)
    kept = await owner.fetchval("SELECT string_agg(body ->> 'word', ' ' ORDER BY id) FROM core.outbox")
    assert kept == "before later"
    async with radio.tuned(after=newest) as first, radio.tuned(after=old) as second:
        await radio.say("now")
        assert await first.words(1) == ["now"], "that the last word is gone has lost it nothing"
        assert await second.words(3) == ["before", "later", "now"]


@pytest.mark.parametrize(
    ("more", "close", "kind"),
    [
        ({"headers": {}}, 4401, "unauthenticated"),
        ({"headers": {"Authorization": "Bearer stolen"}}, 4401, "unauthenticated"),
        ({"headers": {"Cookie": f"entrepot_session={WALLET}", "Origin": "https://evil.example"}}, 4403, "wrong-origin"),
        ({"station": "secret"}, 4404, "no-such-station"),
        ({"after": "7"}, 4422, "malformed"),
        ({"after": "7:7:" + "8" * 9000}, 4422, "malformed"),
        ({"surplus": "1"}, 4422, "malformed"),
    ],
)
async def test_whoever_may_not_listen_is_told_why_and_closed(
    radio: Radio, more: dict[str, str], close: int, kind: str
) -> None:
    async with radio.tuned(**{"station": "one", **more}, ready=False) as heard:
        told = await heard.frame()
        assert told["kind"] == "refused"
        assert (told["problem"]["type"], told["problem"]["status"]) == (f"/problems/{kind}", close - 4000)
        assert await heard.ended() == (close, [])
    assert radio.house.live.sockets == set()


@pytest.mark.parametrize("origin", ["http://localhost:8080", "HTTP://LOCALHOST:8080", None])
async def test_a_browser_comes_with_its_cookie_from_our_own_pages(radio: Radio, origin: str | None) -> None:
    headers = {"Cookie": f"entrepot_session={WALLET}", **({"Origin": origin} if origin else {})}
    async with radio.tuned(headers=headers) as heard:
        await radio.say("hello")
        assert await heard.words(1) == ["hello"]


async def test_a_page_of_another_site_that_has_the_token_itself_may_listen(radio: Radio) -> None:
    async with radio.tuned(headers={**radio.headers, "Origin": "https://console.example"}) as heard:
        await radio.say("hello")
        assert await heard.words(1) == ["hello"]


async def test_plain_http_is_told_to_upgrade(radio: Radio) -> None:
    for headers, status in ((radio.headers, 426), ({}, 401)):
        async with radio.http.get(f"{radio.url}/api/v1/radio/one", headers=headers) as answer:
            assert answer.status == status
    assert radio.house.live.sockets == set()


async def test_signing_out_ends_the_streams_of_that_session_at_once(
    studio: TestDatabase, owner: asyncpg.Connection
) -> None:
    """The heartbeat of twenty seconds does not come into it; another session of the wallet goes on."""
    await owner.execute(
        "INSERT INTO core.sessions (token_hash, wallet, expires_at) VALUES ($1, $2, now() + interval '1 hour')",
        hashlib.sha256(b"second").digest(),
        WALLET,
    )
    async with on_air(studio, owner) as radio:
        second = {"Authorization": "Bearer second"}
        async with radio.tuned() as ends, radio.tuned(headers=second) as stays:
            async with radio.http.post(f"{radio.url}/api/v1/auth/logout", headers=radio.headers) as answer:
                assert answer.status == 204
            assert (await ends.ended())[0] == 4401
            await radio.say("still here")
            assert await stays.words(1) == ["still here"]


async def test_a_session_that_ends_while_its_stream_begins_ends_it_at_once(
    studio: TestDatabase, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its session was looked at, and before it is among those that are told that a session ends."""
    join = Live._join

    async def late(live: Live, socket: Socket, seen: outbox.Moment) -> object:
        await owner.execute("DELETE FROM core.sessions")
        return await join(live, socket, seen)

    monkeypatch.setattr(Live, "_join", late)
    async with on_air(studio, owner) as radio, radio.tuned(ready=False) as heard:
        assert await heard.ended() == (4401, [])


async def test_a_session_that_runs_out_ends_its_streams(radio: Radio, owner: asyncpg.Connection) -> None:
    async with radio.tuned() as heard:
        await owner.execute("UPDATE core.sessions SET expires_at = now() + interval '0.5 seconds'")
        code, kinds = await heard.ended()
        assert code == 4401
        assert set(kinds) == {"beat"}


async def test_a_listener_has_nothing_to_say(radio: Radio) -> None:
    async with radio.tuned() as heard:
        await heard.socket.send_str("hello")
        assert (await heard.ended())[0] == 4400


async def test_one_wallet_has_so_many_streams_and_no_more(studio: TestDatabase, owner: asyncpg.Connection) -> None:
    async with on_air(studio, owner, live_streams=2) as radio:
        async with radio.tuned(), radio.tuned(), radio.tuned(ready=False) as third:
            assert (await third.frame())["problem"]["type"] == "/problems/too-many"
            assert (await third.ended())[0] == 4429
        async with radio.tuned() as later:
            await radio.say("room again")
            assert await later.words(1) == ["room again"]


async def test_a_server_that_goes_away_says_so(radio: Radio) -> None:
    async with radio.tuned() as heard:
        await radio.say("last words")
        assert await heard.words(1) == ["last words"]
        await radio.house.live.close()
        assert (await heard.ended())[0] == 1001
        async with radio.tuned(ready=False) as late:
            assert (await late.frame())["problem"]["status"] == 503
    assert LiveCursor.parse(heard.cursor).place.row > 0
