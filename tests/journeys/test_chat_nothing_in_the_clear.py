"""What people write is nowhere in the database in the clear: every file of the whole cluster is searched for it."""

import mmap
import secrets
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from entrepot.apps.chat.calls.messages import SendMessage, Sent
from entrepot.client import Client
from entrepot.client.transport import asked
from entrepot.kernel.values import new_id
from tests.conftest import Cluster, TestDatabase
from tests.journeys.parlour import listening, parlour


def forms(secret: bytes) -> list[bytes]:
    """The ways in which it could stand in a file: as it is, in hexadecimal digits, and in base64 wherever it begins."""
    shifted = (b64encode(bytes(shift) + secret)[4 if shift else 0 : -4] for shift in range(3))
    return [secret, secret.hex().encode(), *shifted]


def holding(folder: Path, words: Iterable[bytes]) -> set[str]:
    """The first parts of the paths of files that hold any of these."""
    wanted, found = list(words), set()
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if any(content.find(word) >= 0 for word in wanted):
                    found.add(path.relative_to(folder).parts[0])
    return found


async def say_openly(client: Client, conversation: UUID, roster: int, words: bytes) -> None:
    """Sends a message that is not sealed, as a broken client would."""
    openly = {"ciphertext": b64encode(words).decode(), "nonce": b64encode(bytes(24)).decode()}
    ask = asked(SendMessage, by=client.wallet, id=conversation, message_id=new_id(), roster=roster, **openly)
    await client.transport.command("POST", "/chat/conversations/{id}/messages", ask, Sent)


async def talk(ada: Client, bob: Client, secret: str) -> tuple[UUID, int]:
    """A pair and a group, followed and read, with messages that stay and one that goes, sent and sent again."""
    group = (await ada.chat.groups.create("Tenders", invite=[bob.wallet])).id
    await bob.chat.groups.join(group)
    async with listening(ada) as hers, listening(bob) as his:
        sent = await ada.chat.send(bob.wallet, f"{secret} for bob")
        await ada.chat.send(bob.wallet, f"{secret} for bob", message_id=sent.id)
        await ada.chat.send(group, f"{secret} for the group")
        await bob.chat.keep_for(sent.conversation_id, 5)
        await bob.chat.send(sent.conversation_id, f"{secret} for a moment")
        for ear in (hers, his):
            assert all(text and secret in text for text in await ear.texts(3))
        await bob.chat.mark(sent.conversation_id, read=3)
    assert f"{secret} for the group" in [letter.text async for letter in ada.chat.read(group)]
    [roster] = [each.roster async for each in ada.chat.conversations() if each.id == group]
    return group, roster


async def test_no_file_of_the_database_holds_what_was_written(cluster: Cluster, database: TestDatabase) -> None:
    secret, openly = secrets.token_hex(12), secrets.token_hex(12).encode()
    async with parlour(database) as room:
        ada, bob = await room.comes(), await room.comes()
        group, roster = await talk(ada, bob, secret)
        await say_openly(ada, group, roster, openly)
        await room.owner.execute("CHECKPOINT")
        folder, keys = Path(cluster.pgdata), [bytes(client.boxes._private) for client in (ada, bob)]
        assert {"base", "pg_wal"} <= holding(folder, [openly])
        assert "base" in holding(folder, forms(openly)[2:])  # the outbox has it in base64
        assert holding(folder, [form for each in (secret.encode(), *keys) for form in forms(each)]) == set()
