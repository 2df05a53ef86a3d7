"""Months of messages: each is looked into for what it holds and nothing else, and late ids lose nothing at a border."""

import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from entrepot.apps.chat.calls.cursors import SeqCursor
from entrepot.apps.chat.calls.messages import ListMessages
from entrepot.apps.chat.operations.log import Log
from entrepot.apps.chat.operations.receipts import settle
from entrepot.apps.chat.store import history, receipts, sending
from entrepot.apps.chat.store.conversations import FIRST, LATER
from entrepot.apps.chat.store.sending import FACTS
from entrepot.kernel import clock
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Fresh
from entrepot.kernel.values import least_id
from entrepot.kernel.wallet import Wallet
from tests.apps.chat.archive_box import DAY, ArchiveBox, id_of, month, pages, partition
from tests.apps.chat.conftest import Caller, Place

BUSY, MODES = 12_000, ("force_custom_plan", "force_generic_plan")


@dataclass
class Shelf:
    """24 months of messages: one pair that writes all the time, one now and then, one that fell silent; and others."""

    box: ArchiveBox
    alice: Caller
    now: datetime
    busy: str
    sparse: str
    old: str

    async def page(self, mode: str, conversation: str, cursor: str | None = None, limit: int = 50) -> set[str]:
        """The partitions that a page is read from; where it lies is found without any."""
        place = SeqCursor(cursor) if cursor else None
        ask = ListMessages(by=Wallet(self.alice.wallet), id=UUID(conversation), cursor=place, limit=limit)
        assert not await self.box.read_months(history.PAGE, mode, **history.asking(ask))
        page = await history.page(Fresh(self.box.owner), ask)
        assert page is not None
        query, values = history.reading(ask.id, page)
        return await self.box.read_months(query, mode, **values)


@pytest.fixture
async def box(place: Place, doors: Database) -> AsyncIterator[ArchiveBox]:
    """The messages of old; whatever a test did, the invariants hold afterwards."""
    box = ArchiveBox(place.owner, doors)
    yield box
    assert await box.broken() == {}


@pytest.fixture
async def shelf(place: Place, box: ArchiveBox, alice: Caller, bob: Caller) -> Shelf:
    now, others = clock.now(), [await place.member() for _ in range(4)]
    begin = month(23, now)
    await box.months(begin, now)
    made = Shelf(
        box,
        alice,
        now,
        busy=await box.talk(alice, bob, BUSY, begin, now),
        sparse=await box.talk(alice, others[0], 4, begin, month(2, now)),
        old=await box.talk(alice, others[1], 200, month(20, now), month(20, now) + 10 * DAY),
    )
    for one, other in ((bob, others[2]), (others[2], others[3]), (others[1], others[3])):
        await box.talk(one, other, 4_000, begin, now)
    await place.owner.execute("ANALYZE chat.messages, chat.conversations, chat.cursors, chat.conversation_months")
    return made


async def test_a_page_reads_the_months_that_hold_it_and_no_other(shelf: Shelf) -> None:
    for mode in MODES:
        assert await shelf.page(mode, shelf.busy) == {partition(shelf.now)}, mode
        assert await shelf.page(mode, shelf.old) == {partition(month(20, shelf.now))}, mode
        assert len(await shelf.page(mode, shelf.sparse)) == 4, "as many as it has messages"
        assert len(await shelf.page(mode, shelf.sparse, limit=1)) == 1
        for cursor in (f"before~{BUSY // 2}", f"after~{BUSY // 2}"):
            assert len(await shelf.page(mode, shelf.busy, cursor)) <= 2, cursor
        assert await shelf.page(mode, shelf.busy, "after~0") == {partition(month(23, shelf.now))}
        assert await shelf.page(mode, shelf.busy, f"before~{2**53}") == {partition(shelf.now)}


async def test_the_list_and_a_message_that_is_sent_again_are_found_in_their_months_alone(shelf: Shelf) -> None:
    given: dict[str, Any] = {"by": shelf.alice.wallet, "limit": 50}
    for mode in MODES:
        # Three conversations show a message each.
        assert len(await shelf.box.read_months(FIRST, mode, **given)) <= 3
        later = {**given, "key": shelf.now, "last": shelf.old}
        assert len(await shelf.box.read_months(LATER, mode, **later)) <= 3
        asked = {"wallets": [given["by"]], "conversations": [UUID(shelf.busy)], "messages": [id_of(shelf.now, 1)]}
        assert await shelf.box.read_months(FACTS, mode, **asked) == {partition(shelf.now)}


STATUSES = """
    SELECT status, max(seq) FROM chat.messages
    WHERE conversation_id = $1 AND receiver_id = (SELECT id FROM chat.users WHERE wallet_address = $2)
    GROUP BY status ORDER BY 2
"""


async def test_statuses_are_set_in_the_months_of_what_came_since_and_in_no_other(shelf: Shelf, doors: Database) -> None:
    path, half = f"conversations/{shelf.busy}/read", BUSY // 2
    await shelf.alice.post(path, read_seq=half, delivered_seq=BUSY - 60)
    await settle(doors)
    await shelf.alice.post(path, read_seq=half + 30, delivered_seq=BUSY)
    async with doors.write() as db:
        spans = await receipts.spans(db, await receipts.take(db, 10))
    months = {span.month for span in spans}
    assert 2 <= len(months) <= 4, "thirty that were read and sixty that came, each within a month or at a border"
    for each in months:
        values = receipts.settling(each, [span for span in spans if span.month == each])
        for mode in MODES:
            assert await shelf.box.read_months(receipts.SETTLE, mode, **values) == {partition(each)}, mode
    rows = await shelf.box.owner.fetch(STATUSES, shelf.busy, shelf.alice.wallet)
    told: dict[str, int] = {row["status"]: row["max"] for row in rows}
    assert sorted(told) == ["delivered", "read"]
    assert half + 27 < told["read"] <= half + 30 < BUSY - 3 < told["delivered"]


async def test_whoever_turns_every_page_reads_everything_once_either_way(shelf: Shelf) -> None:
    for conversation, count in ((shelf.busy, BUSY), (shelf.sparse, 4), (shelf.old, 200)):
        path, limit = f"conversations/{conversation}/messages", 71  # which leaves one for the last page
        for cursor in ("after~0", f"before~{count + 1}"):
            read: list[int] = []
            after: str | None = cursor
            while after is not None:
                page = (await shelf.alice.get(path, cursor=after, limit=limit)).body
                found = [item["seq"] for item in page["items"]]
                read, after = (read + found if cursor == "after~0" else found + read), page["next_cursor"]
            assert read == list(range(1, count + 1))


def test_months_in_a_row_are_one_stretch_of_ids() -> None:
    lowers, uppers = history.stretches([date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 3, 1)])
    bounds = [datetime(2025, 11, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]
    assert lowers == [least_id(each) for each in bounds]
    assert uppers == [least_id(datetime(2026, month, 1, tzinfo=UTC)) for month in (2, 4)]


async def test_the_least_id_of_a_moment_is_the_databases(place: Place) -> None:
    for moment in (datetime(2026, 3, 1, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, 999_000, UTC)):
        assert await place.owner.fetchval("SELECT core.least_id($1)", moment) == least_id(moment)


async def test_what_has_disappeared_is_passed_over_and_is_no_page(shelf: Shelf) -> None:
    gone = "seq <= 10 OR seq = 15 OR seq BETWEEN 31 AND 150 OR seq > 190"
    expire = f"UPDATE chat.messages SET expires_at = now() WHERE conversation_id = $1 AND ({gone})"
    await shelf.box.owner.execute(expire, shelf.old)
    back = [[*range(171, 191)], [*range(151, 171)], [*range(11, 15), *range(16, 31)]]
    assert await pages(shelf.alice, shelf.old, "before~201", 20) == back
    assert await pages(shelf.alice, shelf.old, "after~0", 20) == back[::-1]
    for beyond in ("before~11", "after~190"):
        assert await pages(shelf.alice, shelf.old, beyond, 20) == [[]]
    for mode in MODES:
        for query, seq in ((history.NEAREST_BACK, 140), (history.NEAREST_ON, 40)):
            given = {"id": shelf.old, "by": shelf.alice.wallet, "seq": seq}
            assert await shelf.box.read_months(query, mode, **given) == {partition(month(20, shelf.now))}, mode
    await shelf.box.owner.execute("UPDATE chat.cursors SET from_seq = 140 WHERE conversation_id = $1", shelf.old)
    assert await pages(shelf.alice, shelf.old, "before~201", 20) == back[:2], "who came later is not led further back"


async def test_what_has_disappeared_is_passed_over_in_the_month_that_is_written_to(
    place: Place, alice: Caller, bob: Caller
) -> None:
    for _ in range(6):
        conversation = (await alice.writes_to(bob)).body["conversation_id"]
    await place.owner.execute("UPDATE chat.messages SET expires_at = now() WHERE seq BETWEEN 3 AND 4")
    assert await pages(bob, conversation, "after~0", 2) == [[1, 2], [5, 6]]
    assert await pages(bob, conversation, "before~7", 2) == [[5, 6], [1, 2]]


BORDER = datetime(2026, 3, 1, tzinfo=UTC)


async def write(doors: Database, pair: UUID, ids: list[UUID]) -> None:
    """Messages in one transaction, as a batch of sends writes them."""
    async with doors.write() as db:
        places = await sending.lock(db, [pair])
        log = Log(places)
        for each in ids:
            log.add(places[pair], each, places[pair].first_id or 0, ciphertext=b"x")
        await log.write(db)


async def whole(by: Caller, pair: UUID, limit: int) -> list[str]:
    """The ids of all messages, page by page from the newest back."""
    read, given = list[str](), dict[str, Any](limit=limit)
    while given.get("cursor", "") is not None:
        page = (await by.get(f"conversations/{pair}/messages", **given)).body
        read, given["cursor"] = [item["id"] for item in page["items"]] + read, page["next_cursor"]
    return read


async def test_ids_up_to_a_day_late_or_early_lose_nothing_at_a_months_border(
    box: ArchiveBox, doors: Database, alice: Caller, bob: Caller
) -> None:
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
    print(f"SEED={seed}")
    dice = random.Random(seed)
    await box.months(BORDER - 40 * DAY, BORDER + 40 * DAY)
    for _ in range(12):
        said = list[UUID]()
        await box.owner.execute("DELETE FROM chat.cursors; DELETE FROM chat.conversation_months")
        await box.owner.execute("DELETE FROM chat.messages; DELETE FROM chat.conversations")
        pair = await box.pair(alice, bob)
        now = BORDER - 1.5 * DAY
        for _ in range(dice.randint(1, 14)):
            now += dice.random() * 0.3 * DAY
            ids = [
                id_of(now - dice.choice((0, 0, dice.random(), -0.003)) * DAY, dice.getrandbits(60)) for _ in range(4)
            ]
            batch = ids[: dice.randint(1, 4)]
            await write(doors, pair, batch)
            said += batch
            assert await box.broken() == {}
            assert await whole(alice, pair, dice.randint(1, 9)) == [str(each) for each in said]
