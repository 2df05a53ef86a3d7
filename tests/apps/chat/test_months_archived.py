"""An old month is archived, proven, detached and dropped while people write and read, and comes back identical."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest

from entrepot.apps.chat.app import APP
from entrepot.kernel import clock
from entrepot.kernel.app import Apps
from entrepot.kernel.db.database import Database
from entrepot.kernel.store.archives import archives_of
from entrepot.kernel.upkeep.archive import restoring
from entrepot.kernel.upkeep.retention import RetentionRun, Run
from tests.apps.chat.archive_box import DAY, ArchiveBox, month, pages
from tests.apps.chat.conftest import Caller, Place
from tests.callers import Answer
from tests.conftest import TestDatabase, settings_for

MANY = 3_000
IMAGE = "SELECT m::text FROM chat.messages m WHERE conversation_id = $1 ORDER BY seq"
NOTHING = {"items": [], "next_cursor": None}
OLDEST = "SELECT min(seq) FROM chat.messages WHERE conversation_id = $1"
MONTHS = "SELECT name FROM core.partitions_of('chat.messages')"


@dataclass
class Traffic:
    """What four writers and four readers were answered, and how long the slowest call took."""

    sent: int = 0
    read: int = 0
    longest: float = 0.0
    is_over: bool = False
    wrong: list[Any] = field(default_factory=list)

    async def done(self, call: Any, status: int) -> Answer:
        began = monotonic()
        answer: Answer = await call
        self.longest = max(self.longest, monotonic() - began)
        if answer.status != status:
            self.wrong.append(answer.body)
        return answer

    async def write(self, by: Caller, to: Caller) -> None:
        while not self.is_over:
            await self.done(by.writes_to(to), 201)
            self.sent += 1
            await asyncio.sleep(0.01)

    async def look(self, by: Caller, old: str) -> None:
        cursor: str | None = None
        while not self.is_over:
            given = {} if cursor is None else {"cursor": cursor}
            cursor = (await self.done(by.get(f"conversations/{old}/messages", **given), 200)).body["next_cursor"]
            await self.done(by.get("conversations"), 200)
            self.read += 2
            await asyncio.sleep(0.01)


@asynccontextmanager
async def busy(owner: asyncpg.Connection, people: list[Caller], old: str) -> AsyncIterator[Traffic]:
    """Traffic, and somebody whose transaction reads the messages for longer than a drop waits."""
    traffic = Traffic()

    async def linger() -> None:
        async with owner.transaction():
            await owner.fetchval("SELECT count(*) FROM chat.messages")
            await asyncio.sleep(1.5)

    work = [traffic.write(by, people[place - 1]) for place, by in enumerate(people)]
    work += [traffic.look(people[place % 2], old) for place in range(4)]
    tasks = [asyncio.create_task(each) for each in (*work, linger())]
    await asyncio.sleep(0.2)
    yield traffic
    traffic.is_over = True
    await asyncio.gather(*tasks)


async def all_of(by: Caller, conversation: str) -> list[int]:
    """The numbers of everything that can be read, page by page until there is no cursor."""
    read, given = list[int](), dict[str, Any](limit=100)
    while given.get("cursor", "") is not None:
        page = (await by.get(f"conversations/{conversation}/messages", **given)).body
        read, given["cursor"] = [item["seq"] for item in page["items"]] + read, page["next_cursor"]
    return read


@pytest.mark.timeout(60)
async def test_old_months_leave_while_people_write_and_read_and_come_back_as_they_were(
    place: Place, database: TestDatabase, doors: Database, alice: Caller, bob: Caller, tmp_path: Path
) -> None:
    box, now = ArchiveBox(place.owner, doors), clock.now()
    first = month(27, now)
    await box.months(first, now)
    old = await box.talk(alice, bob, MANY, first, now)
    before, there = await place.owner.fetch(IMAGE, old), await place.owner.fetch(MONTHS)
    settings = settings_for(database, archives_url=tmp_path.as_uri(), retention_needs_backup=False)
    archives, apps = archives_of(settings), Apps((APP,))
    people = [alice, bob, await place.member(), await place.member()]
    async with busy(place.owner, people, old) as traffic:
        done: RetentionRun = await Run(doors, archives, apps, settings, now=now + 31 * DAY)()
    print(f"{traffic.sent} sent, {traffic.read} read, the slowest in {traffic.longest:.3f} s; {done}")
    assert (traffic.wrong, done.failures) == ([], [])
    assert min(traffic.sent, traffic.read) > 50
    assert traffic.longest < 1.0, "who drops a month gives way to who writes and reads"
    assert done.dropped_partitions >= 3
    assert len(await place.owner.fetch(MONTHS)) == len(there) - done.dropped_partitions
    kept = await all_of(bob, old)
    newest = (await place.owner.fetchval("SELECT last_seq FROM chat.conversations WHERE id = $1", old)) + 1
    assert kept == list(range(done.removed_rows + 1, newest)), "what has left is passed over, the rest is whole"
    assert (await bob.get(f"conversations/{old}/messages", cursor="before~60")).body == NOTHING
    assert await box.broken() == {}
    for row in await place.owner.fetch("SELECT id FROM core.archives"):
        await restoring.restore(doors, archives, apps, row["id"])
    assert (await place.owner.fetch(IMAGE, old))[: len(before)] == before
    assert await all_of(alice, old) == list(range(1, newest))
    assert await box.broken() == {}


async def turns(by: Caller, conversation: str, seqs: list[int]) -> None:
    """Somebody turns every page, from either end: these numbers, and no page without any."""
    on = await pages(by, conversation, "after~0", 50)
    back = (await pages(by, conversation, f"before~{seqs[-1] + 1}", 50))[::-1]
    for turned in (on, back):
        assert [seq for page in turned for seq in page] == seqs
        assert all(turned)


@pytest.mark.timeout(60)
async def test_pages_pass_over_the_months_that_have_left_and_show_what_was_restored(
    place: Place, database: TestDatabase, doors: Database, alice: Caller, bob: Caller, tmp_path: Path
) -> None:
    box, now = ArchiveBox(place.owner, doors), clock.now()
    first = month(27, now)
    await box.months(first, now)
    old = await box.talk(alice, bob, MANY, first, now)
    silent = await box.talk(alice, await place.member(), 70, first, first + DAY)
    settings = settings_for(database, archives_url=tmp_path.as_uri(), retention_needs_backup=False)
    archives, apps = archives_of(settings), Apps((APP,))
    assert (await Run(doors, archives, apps, settings, now=now + 31 * DAY)()).dropped_partitions >= 3
    left = (await place.owner.fetchval(OLDEST, old)) - 1
    kept = list(range(left + 1, MANY + 1))
    await turns(bob, old, kept)
    assert await pages(bob, old, f"before~{left + 101}", 50) == [kept[50:100], kept[:50]], "the last page is a full one"
    assert await pages(alice, silent, "before~71", 50) == await pages(alice, silent, "after~0", 50) == [[]]
    leaving = await place.owner.fetch("SELECT id FROM core.archives ORDER BY lower")
    await restoring.restore(doors, archives, apps, leaving[0]["id"])
    back = await place.owner.fetchval(
        "SELECT count(*) FROM chat.messages WHERE seq <= $2 AND conversation_id = $1", old, left
    )
    assert 50 < back < left
    await turns(bob, old, [*range(1, back + 1), *kept])
    assert (await pages(bob, old, f"after~{back - 50}", 50))[:2] == [[*range(back - 49, back + 1)], kept[:50]]
    await turns(alice, silent, list(range(1, 71)))
    for row in leaving[1:]:
        await restoring.restore(doors, archives, apps, row["id"])
    await turns(bob, old, list(range(1, MANY + 1)))
    assert await box.broken() == {}
