"""A group of fifty: each reads what each writes, and who is put out reads no more, even with the sealed message."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import pytest
from nacl.secret import SecretBox

from entrepot.apps.chat.calls.events import Gone, Joined, RoleGiven
from entrepot.apps.chat.calls.live import GroupClosed, GroupOpened, Invited
from entrepot.apps.chat.model import Role
from entrepot.client import ChatLetter, Client, NoKey, Refused
from entrepot.client.boxes import base64_of
from entrepot.client.chat.sealing import SLOT, Sealed, open_from_all
from tests.conftest import TestDatabase
from tests.journeys.parlour import Ear, Parlour, listening, parlour

FIFTY = 50


@pytest.fixture
async def room(database: TestDatabase) -> AsyncIterator[Parlour]:
    async with parlour(database, live_streams=100) as opened:
        yield opened


async def members_of(room: Parlour, count: int) -> tuple[UUID, list[Client]]:
    """A group that so many people have joined, all at once."""
    owner, *others = await asyncio.gather(*(room.comes() for _ in range(count)))
    group = await owner.chat.groups.create("Tenders", invite=[other.wallet for other in others])
    await asyncio.gather(*(other.chat.groups.join(group.id) for other in others))
    return group.id, [owner, *others]


async def sealed_last(room: Parlour) -> Sealed:
    """The newest message, as it lies in the database."""
    row = await room.owner.fetchrow("SELECT ciphertext, nonce FROM chat.messages WHERE event IS NULL ORDER BY seq DESC")
    return Sealed(base64_of(row["ciphertext"]), base64_of(row["nonce"]))


@pytest.mark.timeout(90)
async def test_fifty_hear_each_other_in_the_same_order(room: Parlour) -> None:
    group, members = await members_of(room, FIFTY)
    async with AsyncExitStack() as stack:
        ears = [await stack.enter_async_context(listening(member)) for member in members]
        writers = members[::10]
        await asyncio.gather(*(writer.chat.send(group, f"{place}: I bid.") for place, writer in enumerate(writers)))
        heard = await asyncio.gather(*(_letters(ear, len(writers)) for ear in ears))
        assert sorted(letter.text or "" for letter in heard[0]) == [f"{place}: I bid." for place in range(len(writers))]
        assert all(letters == heard[0] for letters in heard)
        assert [letter.seq for letter in heard[0]] == list(range(FIFTY + 1, FIFTY + 1 + len(writers)))
    assert (await members[7].chat.unread()).conversations == 1  # who writes the last has read it all
    assert [letter.text async for letter in members[7].chat.read(group, after=FIFTY)] == [
        each.text for each in heard[0]
    ]


async def _letters(ear: Ear, count: int) -> list[ChatLetter]:
    return [await ear.letter() for _ in range(count)]


async def test_who_is_put_out_cannot_open_what_is_written_then(room: Parlour) -> None:
    group, (owner, bob, carol) = await members_of(room, 3)
    async with listening(bob) as his, listening(carol) as hers:
        await owner.chat.send(group, "for three")
        assert (await his.letter()).text == "for three"
        assert open_from_all(bob.boxes, await sealed_last(room), [owner.boxes.public_key]) is not None
        await owner.chat.groups.remove(group, bob.wallet)
        assert (await his.hear(GroupClosed)).conversation_id == group
        await owner.chat.send(group, "for two")
        assert await hers.texts(2) == ["for three", "for two"]
        assert open_from_all(carol.boxes, await sealed_last(room), [owner.boxes.public_key]) is not None
        assert open_from_all(bob.boxes, await sealed_last(room), [owner.boxes.public_key]) is None
        with pytest.raises(Refused, match="404 no-such-conversation"):
            await bob.chat.send(group, "Let me in!")
        assert (await hers.hear(ChatLetter)).event == Gone(wallet=bob.wallet)


async def test_somebody_is_invited_joins_and_becomes_the_owner(room: Parlour) -> None:
    group, (owner, bob) = await members_of(room, 2)
    carol = await room.comes()
    async with listening(carol) as hers:
        await owner.chat.groups.give_role(group, bob.wallet, Role.ADMIN)
        await bob.chat.groups.invite(group, carol.wallet)
        invited = await hers.hear(Invited)
        assert [each.is_invited async for each in carol.chat.groups.list()] == [True]
        await owner.chat.send(group, "before carol")
        await carol.chat.groups.join(invited.conversation_id)
        assert (await hers.hear(GroupOpened)).conversation_id == group
        assert (await hers.hear(ChatLetter)).event == Joined()
        await owner.chat.groups.change(group, owner=carol.wallet)
        assert (await hers.hear(ChatLetter)).event == RoleGiven(wallet=carol.wallet, role="owner")
        await owner.chat.send(group, "after carol")
        assert (await hers.letter()).text == "after carol"
    assert {each.wallet: each.role for each in await _all(carol, group)}[carol.wallet] is Role.OWNER
    await carol.chat.groups.end(group)
    with pytest.raises(Refused, match="404"):
        await owner.chat.groups.get(group)


async def _all(client: Client, group: UUID) -> Sequence[object]:
    return [each async for each in client.chat.groups.members(group)]


async def test_no_reader_can_put_words_into_what_another_has_sealed(room: Parlour) -> None:
    """Who may read it has its key, and with the server's help could seal something else with that."""
    group, (owner, bob, carol) = await members_of(room, 3)
    await owner.chat.send(group, "I pay 10.")
    row = await room.owner.fetchrow("SELECT id, ciphertext, nonce FROM chat.messages WHERE event IS NULL")
    whole, nonce, box = row["ciphertext"], row["nonce"], bob.boxes.between(owner.boxes.public_key)
    slots, said = whole[: 3 + 3 * SLOT], whole[3 + 3 * SLOT :]
    tag = b64decode(bob.boxes.public_key)[:4]
    key = box.decrypt(
        next(slots[at + 4 : at + SLOT] for at in range(3, len(slots), SLOT) if slots[at:][:4] == tag), nonce
    )
    secret = SecretBox(key[:32])
    forged = secret.encrypt(secret.decrypt(said, nonce).replace(b"10", b"99"), nonce).ciphertext
    assert [letter.text async for letter in carol.chat.read(group) if letter.event is None] == ["I pay 10."]
    await room.owner.execute("UPDATE chat.messages SET ciphertext = $1 WHERE id = $2", slots + forged, row["id"])
    assert [letter.text async for letter in carol.chat.read(group) if letter.event is None] == [None]


async def test_a_key_with_which_no_box_can_be_made_keeps_nobody_from_reading(room: Parlour) -> None:
    group, (owner, bob) = await members_of(room, 2)
    await owner.chat.send(group, "one")
    sealed, zeros = await sealed_last(room), base64_of(bytes(32))
    assert open_from_all(bob.boxes, sealed, [zeros]) is None
    assert open_from_all(bob.boxes, sealed, [zeros, owner.boxes.public_key]) is not None


async def test_what_is_too_long_for_so_many_is_not_sent(room: Parlour) -> None:
    group, (owner, *_) = await members_of(room, 3)
    with pytest.raises(NoKey, match="65536 octets"):
        await owner.chat.send(group, "x" * 65_536)
    assert await room.owner.fetchval("SELECT count(*) FROM chat.messages WHERE event IS NULL") == 0
