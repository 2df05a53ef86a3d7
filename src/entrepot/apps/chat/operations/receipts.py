"""Receipts: cursors move on, and whoever waits for them is told."""

from collections.abc import Sequence

from entrepot.apps.chat.calls.conversations import MarkRead, ReadSoFar
from entrepot.apps.chat.calls.live import ReceiptMoved
from entrepot.apps.chat.operations.topics import of_group, of_wallet
from entrepot.apps.chat.refusals import NoSuchConversation
from entrepot.apps.chat.store import receipts as store
from entrepot.apps.chat.store.receipts import Stand
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.db.gather import Gather
from entrepot.kernel.refusal import Refusal
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import Letter, publish

MOST_TOLD = 100
"""In a group of more members, only one's own devices are told how far one has read: n people would hear n receipts."""
AT_ONCE = 1_000


class Receipts:
    """What this process is about to note."""

    def __init__(self) -> None:
        self.gather: Gather[MarkRead, ReadSoFar] = Gather(note)


async def mark_read(database: Database, ask: MarkRead, receipts: Receipts) -> ReadSoFar:
    """Tell how far you have received and read a conversation."""
    return await receipts.gather.ask(database, ask)


async def note(db: Write, asks: Sequence[MarkRead]) -> Sequence[ReadSoFar | Refusal]:
    """All of these; the same again changes nothing and is told to nobody."""
    moved = await store.mark(db, asks)
    stands = await store.stands(db, asks)
    await publish(db, [letter(stands[key]) for key in sorted(moved)])
    return [_answer(stands.get((ask.by, ask.id))) for ask in asks]


def _answer(stand: Stand | None) -> ReadSoFar | Refusal:
    if stand is None:
        return NoSuchConversation()
    return ReadSoFar(
        conversation_id=stand.conversation_id,
        read_seq=stand.read_seq,
        delivered_seq=stand.delivered_seq,
        unread=stand.unread,
    )


def letter(stand: Stand) -> Letter:
    """To the other of a pair, or to a small group; to one's own devices in any case."""
    told = ReceiptMoved(
        conversation_id=stand.conversation_id,
        wallet=Wallet(stand.wallet),
        read_seq=stand.read_seq,
        delivered_seq=stand.delivered_seq,
    )
    own = of_wallet(stand.wallet)
    if stand.members is not None:
        return Letter(of_group(stand.conversation_id) if stand.members <= MOST_TOLD else own, told)
    return Letter(own, told, also=None if stand.is_silent else of_wallet(stand.other_wallet or ""))


async def settle(database: Database) -> None:
    """Sets the reference's status of messages from the cursors, a part at a time."""
    settled = AT_ONCE
    while settled == AT_ONCE:
        async with database.write() as db:
            taken = await store.take(db, AT_ONCE)
            spans = await store.spans(db, taken)
            for month in sorted({span.month for span in spans}):
                await store.settle(db, month, [span for span in spans if span.month == month])
            settled = len(taken)
