"""Whoever was away, or was cut off, hears everything once and in its order; what they say meanwhile is said once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest
from eth_account import Account

from entrepot.apps.chat.calls.conversations import Conversation
from entrepot.apps.chat.calls.live import ReceiptMoved
from entrepot.client import ChatLetter, Client, KeyChanged, Seen, StartOver
from entrepot.client.chat import rooms
from entrepot.kernel.db.database import Database
from entrepot.kernel.work.outbox import purge_outbox
from tests.conftest import TestDatabase
from tests.faults.test_live_restarts import Service
from tests.journeys.cable import cabled
from tests.journeys.parlour import Parlour, listening, parlour

PROMPT = 15.0  # seconds; a call that is not made again over the next connection is waited for longer


@pytest.fixture
async def room(database: TestDatabase) -> AsyncIterator[Parlour]:
    async with parlour(database) as opened:
        yield opened


async def forget_what_was_told(owner: asyncpg.Connection, doors: Database) -> None:
    """As if everything had been published the day before yesterday."""
    await owner.execute("UPDATE core.outbox SET created_at = created_at - interval '2 days'")
    await purge_outbox(doors)
    assert await owner.fetchval("SELECT count(*) FROM core.outbox") == 0


async def test_who_was_away_goes_on_where_they_were_at_another_server_too(
    room: Parlour, database: TestDatabase
) -> None:
    ada, bob, seen = await room.comes(), await room.comes(), Seen()
    async with listening(bob, seen) as his:
        sent = await ada.chat.send(bob.wallet, "1")
        assert await his.texts(1) == ["1"]
        await bob.chat.mark(sent.conversation_id, read=1)
        assert (await his.hear(ReceiptMoved)).read_seq == 1
    kept = msgspec.json.encode(seen)
    for number in (2, 3):
        await ada.chat.send(bob.wallet, str(number))
    async with parlour(database) as elsewhere:
        again = await elsewhere.comes(bob._key)
        async with listening(again, msgspec.json.decode(kept, type=Seen)) as his:
            await ada.chat.send(bob.wallet, "4")
            assert await his.texts(3) == ["2", "3", "4"]
            assert await his.is_quiet()
            assert [event for event in his.aside if isinstance(event, ReceiptMoved)] == []


async def test_what_is_no_longer_kept_is_read_from_the_history(room: Parlour, doors: Database) -> None:
    ada, bob, carol, seen = await room.comes(), await room.comes(), await room.comes(), Seen()
    group = (await ada.chat.groups.create("Tenders", invite=[bob.wallet])).id
    await bob.chat.groups.join(group)
    async with listening(bob, seen) as his:
        await ada.chat.send(bob.wallet, "pair 1")
        await ada.chat.send(group, "group 1")
        assert await his.texts(2) == ["pair 1", "group 1"]
    for number in range(2, 130):
        await ada.chat.send(bob.wallet, f"pair {number}")
    await ada.chat.send(group, "group 2")
    await carol.chat.send(bob.wallet, "carol 1")
    await forget_what_was_told(room.owner, doors)
    async with listening(bob, seen) as his:
        told = await his.texts(130)
        assert [text for text in told if text and text.startswith("pair")] == [f"pair {each}" for each in range(2, 130)]
        assert {"group 2", "carol 1"} < set(told)
        await his.hear(StartOver)
        await carol.chat.send(bob.wallet, "carol 2")
        assert await his.texts(1) == ["carol 2"]
        assert await his.is_quiet()


async def test_what_has_disappeared_meanwhile_is_not_told(room: Parlour) -> None:
    """The server forgets what it has told after a day, and a message may be over long before."""
    ada, bob, seen = await room.comes(), await room.comes(), Seen()
    async with listening(bob, seen) as his:
        sent = await ada.chat.send(bob.wallet, "1")
        assert await his.texts(1) == ["1"]
    await ada.chat.keep_for(sent.conversation_id, 5)
    await room.owner.execute("UPDATE chat.conversations SET keeps_for = 1")
    await ada.chat.send(bob.wallet, "The code is 4711.")
    await ada.chat.keep_for(sent.conversation_id, None)
    await ada.chat.send(bob.wallet, "2")
    await asyncio.sleep(1.1)
    async with listening(bob, seen) as his:
        assert await his.texts(1) == ["2"]
    assert seen.seqs == {sent.conversation_id: 5}


async def test_who_begins_to_listen_is_told_nothing_of_before(room: Parlour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where a conversation that somebody writes in moves up while the list of them is read, page by page."""
    monkeypatch.setattr(rooms, "PAGE", 1)
    ada, bob, carol = await room.comes(), await room.comes(), await room.comes()
    for number in range(3):
        await bob.chat.send(ada.wallet, f"bob {number}")
    await carol.chat.send(ada.wallet, "carol 0")
    listed, listing = list[UUID](), ada.chat._rooms.conversations

    async def slowly_listed() -> AsyncIterator[Conversation]:
        async for each in listing():
            yield each
            listed.append(each.id)
            if len(listed) == 1:
                await bob.chat.send(ada.wallet, "bob 3")

    monkeypatch.setattr(ada.chat._rooms, "conversations", slowly_listed)
    async with listening(ada) as hers:
        await carol.chat.send(ada.wallet, "carol 1")
        told = await hers.hear(ChatLetter, lambda letter: letter.text == "carol 1")
        assert told.seq == 2
        assert not {f"bob {number}" for number in range(3)} & {getattr(each, "text", None) for each in hers.aside}


async def test_a_key_that_changed_while_one_was_away_is_told_before_its_messages(
    room: Parlour, doors: Database
) -> None:
    ada, bob, seen = await room.comes(), await room.comes(), Seen()
    async with listening(bob, seen) as his:
        await ada.chat.send(bob.wallet, "1")
        assert await his.texts(1) == ["1"]
    bob.chat.keys.kept[ada.wallet] = [bob.chat.keys.public_key]  # what bob had of ada before
    await ada.chat.send(bob.wallet, "2")
    await forget_what_was_told(room.owner, doors)
    async with listening(bob, seen) as his:
        change = await his.hear(KeyChanged)
        assert change.now == ada.chat.keys.public_key
        bob.chat.keys.accept(change)
        assert await his.texts(1) == ["2"]


async def test_a_message_whose_answer_is_lost_is_sent_once(room: Parlour) -> None:
    bob = await room.comes()
    async with cabled(room.url) as (url, cable), Client(url, Account.create(), domain="localhost") as ada:
        await ada.sign_in()
        async with listening(ada) as hers, listening(bob) as his:
            cable.loses = 2
            async with asyncio.timeout(PROMPT):
                sent = await ada.chat.send(bob.wallet, "I pay.")
            assert (cable.loses, sent.seq) == (0, 1)
            cable.loses = 1
            numbers = await asyncio.gather(*(ada.chat.send(bob.wallet, f"{each}") for each in range(20)))
            assert sorted(each.seq for each in numbers) == list(range(2, 22))
            for ear in (hers, his):
                letters = [await ear.letter() for _ in range(21)]
                assert [letter.seq for letter in letters] == list(range(1, 22))
                assert await ear.is_quiet()
    assert await room.owner.fetchval("SELECT count(*) FROM chat.messages") == 21


async def test_who_is_cut_off_again_and_again_misses_nothing(room: Parlour) -> None:
    ada = await room.comes()
    async with cabled(room.url) as (url, cable), Client(url, Account.create(), domain="localhost") as bob:
        await bob.sign_in()
        async with listening(bob) as his:
            for number in range(30):
                await ada.chat.send(bob.wallet, str(number))
                if number % 5 == 4:
                    cable.cut()
            assert await his.texts(30) == [str(number) for number in range(30)]
            assert await his.is_quiet()


async def test_what_comes_while_one_catches_up_comes_once(room: Parlour, doors: Database) -> None:
    ada = await room.comes()
    async with cabled(room.url) as (url, cable), Client(url, Account.create(), domain="localhost") as bob:
        await bob.sign_in()
        async with listening(bob) as his:
            await ada.chat.send(bob.wallet, "1")
            assert await his.texts(1) == ["1"]
            cable.is_down = True
            cable.cut()
            await ada.chat.send(bob.wallet, "2")
            await forget_what_was_told(room.owner, doors)
            cable.is_down = False
            line = bob.chat._line
            assert line is not None
            while line._told.empty():  # that it has to start over
                await asyncio.sleep(0.02)
            await ada.chat.send(bob.wallet, "3")
            while line._told.qsize() < 2:
                await asyncio.sleep(0.02)
            assert await his.texts(2) == ["2", "3"]
            assert await his.is_quiet()
            await his.hear(StartOver, within=0)


@pytest.mark.timeout(90)
async def test_a_talk_goes_on_when_all_server_processes_are_killed(database: TestDatabase, tmp_path: Path) -> None:
    service = Service(database, tmp_path)
    async with AsyncExitStack() as stack:
        async with service.running() as child:
            ada, bob = [await stack.enter_async_context(Client(service.url, Account.create())) for _ in range(2)]
            for client in (ada, bob):
                await client.sign_in()
                client.transport.attempts = 30  # on a machine with much to do a server starts slowly
            hers, his = [await stack.enter_async_context(listening(client)) for client in (ada, bob)]
            said = asyncio.create_task(_say(ada, bob, 40))
            await his.texts(5)
            for each in (child.process.pid, *service.processes(child)):
                os.kill(each, signal.SIGKILL)
            await child.process.wait()
        async with service.running():
            assert await asyncio.wait_for(said, 30) == list(range(1, 41))
            for ear, count in ((hers, 40), (his, 35)):
                assert await ear.texts(count) == [f"{each}" for each in range(40 - count, 40)]
                assert await ear.is_quiet()


async def _say(ada: Client, bob: Client, count: int) -> list[int]:
    """One after the other; answers with the numbers that they got."""
    numbers = []
    for each in range(count):
        numbers.append((await ada.chat.send(bob.wallet, f"{each}")).seq)
        await asyncio.sleep(0.02)
    return numbers
