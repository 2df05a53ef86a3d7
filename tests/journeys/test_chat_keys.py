"""Somebody's key changes: it is shown, and nothing is sealed to the new one before it was accepted."""

from collections.abc import AsyncIterator

import pytest
from nacl.public import PrivateKey

from entrepot.client import Client, KeyChanged, UnacceptedKey
from entrepot.client.boxes import Boxes, base64_of
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet
from tests.conftest import TestDatabase
from tests.journeys.parlour import Parlour, listening, parlour


@pytest.fixture
async def room(database: TestDatabase) -> AsyncIterator[Parlour]:
    async with parlour(database) as opened:
        yield opened


class OtherBoxes(Boxes):
    """Those of a client that makes its key otherwise."""

    def __init__(self) -> None:
        self._private = PrivateKey.generate()


def other_client(room: Parlour, client: Client) -> Client:
    """The same wallet, in a program that has another key for it."""
    other = Client(room.url, client._key)
    other.transport.token = client.transport.token
    other.chat._boxes = other.chat.keys._boxes = other.chat._letters._boxes = OtherBoxes()
    return other


async def test_a_new_key_is_told_and_used_only_when_it_was_accepted(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    async with listening(ada) as hers, other_client(room, bob) as anew:
        sent = await ada.chat.send(bob.wallet, "one")
        await anew.chat.keys.publish()
        change = await hers.hear(KeyChanged)
        assert (change.wallet, change.was, change.now) == (bob.wallet, bob.boxes.public_key, anew.chat.keys.public_key)
        assert change.is_signed
        with pytest.raises(UnacceptedKey) as refused:
            await ada.chat.send(bob.wallet, "two")
        assert refused.value.change == change
        assert [letter.text async for letter in anew.chat.read(sent.conversation_id)] == [None]
        ada.chat.keys.accept(change)
        await ada.chat.send(bob.wallet, "two")
        await anew.chat.send(ada.wallet, "three")
        assert await hers.texts(3) == ["one", "two", "three"]
        assert [letter.text async for letter in anew.chat.read(sent.conversation_id)] == ["three", "two", None]
        assert [letter.text async for letter in bob.chat.read(sent.conversation_id)] == [None, None, "one"]
    assert [letter.text async for letter in ada.chat.read(sent.conversation_id)] == ["three", "two", "one"]


async def test_what_comes_under_a_new_key_is_read_when_it_was_accepted(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    sent = await bob.chat.send(ada.wallet, "one")
    assert [letter.text async for letter in ada.chat.read(sent.conversation_id)] == ["one"]
    async with other_client(room, bob) as anew:
        await anew.chat.keys.publish()
        await anew.chat.send(ada.wallet, "two")
        assert [letter.text async for letter in ada.chat.read(sent.conversation_id)] == [None, "one"]
        async with listening(ada) as hers:
            await anew.chat.send(ada.wallet, "three")
            ada.chat.keys.accept(await hers.hear(KeyChanged))
            assert await hers.texts(1) == ["three"]
    assert [letter.text async for letter in ada.chat.read(sent.conversation_id)] == ["three", "two", "one"]
    newcomer = await room.comes(ada._key)
    assert [letter.text async for letter in newcomer.chat.read(sent.conversation_id)] == ["three", "two", "one"]


async def test_who_has_kept_the_keys_of_others_hears_of_a_change_at_the_next_start(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    await ada.chat.send(bob.wallet, "one")
    async with other_client(room, bob) as anew:
        await anew.chat.keys.publish()
    later = await room.comes(ada._key)
    later.chat.keys.kept.update(ada.chat.keys.kept)
    with pytest.raises(UnacceptedKey) as refused:
        await later.chat.send(bob.wallet, "two")
    assert refused.value.change.was == bob.boxes.public_key


async def test_a_key_that_the_wallet_never_signed_for_is_told_as_such(room: Parlour) -> None:
    """As a server would that wants to read along."""
    ada, bob = await room.comes(), await room.comes()
    await ada.chat.send(bob.wallet, "one")
    forged = PublicKey(base64_of(bytes(PrivateKey.generate().public_key)))
    await room.owner.execute("UPDATE chat.users SET public_key = $1 WHERE wallet_address = $2", forged, bob.wallet)
    await room.owner.execute("UPDATE chat.conversations SET roster = roster + 1")
    with pytest.raises(UnacceptedKey) as refused:
        await ada.chat.send(bob.wallet, "two")
    assert refused.value.change == KeyChanged(Wallet(bob.wallet), bob.boxes.public_key, forged, is_signed=False)


async def test_a_message_passes_for_no_other_and_nobody_elses(room: Parlour) -> None:
    """As a server would that repeats a message, or says that it is the other's."""
    ada, bob = await room.comes(), await room.comes()
    sent = await ada.chat.send(bob.wallet, "I pay.")
    again = await ada.chat.send(bob.wallet, "Nothing more.")
    copy = "SELECT ciphertext, nonce FROM chat.messages WHERE id = $1"
    await room.owner.execute(
        f"UPDATE chat.messages SET (ciphertext, nonce) = ({copy}) WHERE id = $2", sent.id, again.id
    )
    for client in (ada, bob):
        assert [letter.text async for letter in client.chat.read(sent.conversation_id)] == [None, "I pay."]
    await room.owner.execute("UPDATE chat.messages SET sender_id = receiver_id, receiver_id = sender_id")
    for client in (ada, bob):
        assert [letter.text async for letter in client.chat.read(sent.conversation_id)] == [None, None]


async def test_a_message_of_one_group_passes_for_none_of_another(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    groups = [(await ada.chat.groups.create(name, invite=[bob.wallet])).id for name in ("Danube", "Thaya")]
    for group in groups:
        await bob.chat.groups.join(group)
    sent, other = [await ada.chat.send(group, "Sell!") for group in groups]
    await room.owner.execute("DELETE FROM chat.messages WHERE id = $1", other.id)
    await room.owner.execute("UPDATE chat.messages SET conversation_id = $1 WHERE id = $2", groups[1], sent.id)
    letters = [letter async for letter in bob.chat.read(groups[1]) if letter.event is None]
    assert [(letter.id, letter.text) for letter in letters] == [(sent.id, None)]


async def test_whom_somebody_has_blocked_still_reads_what_was_said(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    sent = await ada.chat.send(bob.wallet, "one")
    await bob.chat.blocks.add(ada.wallet)
    assert [letter.text async for letter in ada.chat.read(sent.conversation_id)] == ["one"]


async def test_keys_of_before_are_looked_for_until_the_server_shows_them(room: Parlour) -> None:
    ada, bob = await room.comes(), await room.comes()
    async with other_client(room, bob) as anew:
        sent = await bob.chat.send(ada.wallet, "one")
        await anew.chat.keys.publish()
        await ada.chat.send(bob.wallet, "two")
        await bob.chat.blocks.add(ada.wallet)
        assert [letter.text async for letter in ada.chat.read(sent.conversation_id)] == ["two", None]
        await bob.chat.blocks.remove(ada.wallet)
        assert [letter.text async for letter in ada.chat.read(sent.conversation_id)] == ["two", "one"]
