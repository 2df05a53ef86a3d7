"""Two people write to each other, sealed end to end: receipts, typing, a second device, a block, messages that go."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from eth_account import Account

from entrepot.apps.chat.calls.events import KeepsFor
from entrepot.apps.chat.calls.live import BlockChanged, ReceiptMoved, Typing
from entrepot.client import ChatLetter, Client, Refused
from tests.conftest import TestDatabase
from tests.journeys.parlour import Parlour, listening, parlour

QUESTION, ANSWER = "Is the gauge at Nussdorf included?", "It is: since 1998. ✓"


@pytest.fixture
async def room(database: TestDatabase) -> AsyncIterator[Parlour]:
    async with parlour(database) as opened:
        yield opened


async def read(client: Client, *letters: ChatLetter) -> list[str | None]:
    """What the conversation of that letter says, the earliest first."""
    return [each.text async for each in client.chat.read(letters[0].conversation, after=0) if each.event is None]


async def test_two_talk_and_see_each_other_write_receive_and_read(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    async with listening(ada) as hers, listening(bob) as his:
        sent = await ada.chat.send(bob.wallet, QUESTION)
        heard = await his.letter()
        assert (heard.id, heard.text, heard.sender, heard.seq) == (sent.id, QUESTION, ada.wallet, 1)
        assert (await bob.chat.unread()).messages == 1
        await bob.chat.mark(heard.conversation, delivered=1)
        told = await hers.hear(ReceiptMoved)
        assert (told.wallet, told.delivered_seq, told.read_seq) == (bob.wallet, 1, 0)
        await bob.chat.typing(heard.conversation)
        assert (await hers.hear(Typing)).wallet == bob.wallet
        assert (await bob.chat.mark(heard.conversation, read=1)).unread == 0
        assert (await hers.hear(ReceiptMoved)).read_seq == 1
        await bob.chat.send(heard.conversation, ANSWER)
        assert await hers.texts(2) == [QUESTION, ANSWER]
        [listed] = [each async for each in ada.chat.conversations()]
        assert (listed.other_wallet, listed.unread, listed.other_read_seq) == (bob.wallet, 1, 2)
    assert [letter.text async for letter in bob.chat.read(heard.conversation)] == [ANSWER, QUESTION]


async def test_without_a_stream_everything_goes_over_http(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    sent = await ada.chat.send(bob.wallet, QUESTION)
    again = await ada.chat.send(bob.wallet, QUESTION, message_id=sent.id)
    assert (again, (await bob.chat.unread()).messages) == (sent, 1)
    await bob.chat.typing(sent.conversation_id)
    await bob.chat.mark(sent.conversation_id, read=1)
    await bob.chat.send(ada.wallet, ANSWER)
    assert [letter.text async for letter in ada.chat.read(sent.conversation_id)] == [ANSWER, QUESTION]


async def test_a_second_device_reads_everything_and_hears_what_the_first_one_sends(room: Parlour) -> None:
    key = Account.create()
    phone, bob = await room.comes(key), await room.comes()
    await phone.chat.send(bob.wallet, QUESTION)
    await bob.chat.send(phone.wallet, ANSWER)
    laptop = await room.comes(key)
    async with listening(laptop) as heard, listening(phone):
        sent = await phone.chat.send(bob.wallet, "Then I buy it.")
        letter = await heard.letter()
        assert (letter.id, letter.text, letter.sender) == (sent.id, "Then I buy it.", phone.wallet)
        await bob.chat.send(phone.wallet, ANSWER)
        await phone.chat.mark(sent.conversation_id, read=4)
        assert (await heard.hear(ReceiptMoved)).read_seq == 4
    assert await read(laptop, letter) == [QUESTION, ANSWER, "Then I buy it.", ANSWER]


async def test_a_blocked_user_hears_nothing_and_learns_nothing(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    async with listening(ada) as hers, listening(bob) as his:
        await bob.chat.send(ada.wallet, "Buy! Buy!")
        letter = await hers.letter()
        await his.letter()
        await ada.chat.blocks.add(bob.wallet)
        assert (await hers.hear(BlockChanged)).is_blocked
        assert [each.wallet_address async for each in ada.chat.blocks.list()] == [bob.wallet]
        with pytest.raises(Refused, match="404 no-such-conversation"):
            await bob.chat.send(ada.wallet, "Why so silent?")
        with pytest.raises(Refused) as unknown:
            await bob.chat.send(Account.create().address, "Is anybody here?")
        with pytest.raises(Refused) as blocked:
            await bob.chat.users.get(ada.wallet)
        assert (blocked.value.status, blocked.value.type) == (unknown.value.status, unknown.value.type)
        assert await hers.is_quiet()
        assert await his.is_quiet()
        await ada.chat.blocks.remove(bob.wallet)
        await bob.chat.send(ada.wallet, "Sorry.")
        assert (await hers.letter()).text == "Sorry."
    assert await read(ada, letter) == ["Buy! Buy!", "Sorry."]


async def test_messages_disappear_when_their_time_is_over(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    async with listening(bob) as his:
        sent = await ada.chat.send(bob.wallet, QUESTION)
        await ada.chat.keep_for(sent.conversation_id, 5)
        await ada.chat.send(bob.wallet, "The code is 4711.")
        kept, told, passing = [await his.hear(ChatLetter) for _ in range(3)]
        assert (kept.expires_at, told.event) == (None, KeepsFor(seconds=5))
        assert passing.expires_at is not None
        assert (passing.text, (passing.expires_at - passing.at).total_seconds()) == ("The code is 4711.", 5)
        assert await read(bob, passing) == [QUESTION, "The code is 4711."]
        await ada.chat.keep_for(sent.conversation_id, None)
        await asyncio.sleep(5.1)
        await bob.chat.send(ada.wallet, ANSWER)
    for client in (ada, bob):
        assert await read(client, passing) == [QUESTION, ANSWER]
