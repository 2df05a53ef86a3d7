"""Whoever is to be told is told once, also where the other side refuses at first."""

from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from entrepot.kernel import clock
from entrepot.kernel.monitor.delivery import deliver
from entrepot.kernel.monitor.evaluate import judge
from entrepot.kernel.monitor.measures import MEASURES
from entrepot.kernel.monitor.model import Reading
from entrepot.kernel.monitor.rules import rules_of
from entrepot.kernel.settings import AlertSettings
from tests.conftest import TestDatabase, free_port
from tests.kernel.monitor.watch import Watch, watched

NOW = "UPDATE core.notices SET next_at = now() WHERE next_at IS NOT NULL"


NOTHING = dict.fromkeys(MEASURES)
ANY = {"transaction": AlertSettings(threshold=0, hold=0)}
"""Every transaction is too old."""


@pytest.fixture
async def wrong(database: TestDatabase) -> AsyncIterator[None]:
    """There is something to tell: somebody has left a transaction open."""
    somebody = await asyncpg.connect(database.owner_url)
    async with somebody.transaction():
        await somebody.execute("SELECT 1")
        yield
    await somebody.close()


@pytest.fixture
async def watch(database: TestDatabase, wrong: None) -> AsyncIterator[Watch]:
    async with watched(database, alerts=ANY) as made:
        yield made


async def test_a_webhook_that_fails_is_sent_again_with_the_same_id(watch: Watch, owner: asyncpg.Connection) -> None:
    watch.answers = [500, 302]
    await watch.look()
    assert (watch.posts, len(watch.letters.all)) == ([], 1)  # the mail does not wait for it
    await deliver(watch.house.database, watch.house.settings)
    assert len(watch.ids) == 1  # not before its time
    for _ in range(3):
        await owner.execute(NOW)
        await deliver(watch.house.database, watch.house.settings)
    assert watch.told("transaction") == ["fired"]
    assert len(watch.ids) == 3
    assert len(set(watch.ids)) == 1
    assert await owner.fetchval("SELECT count(*) FROM core.notices WHERE sent_at IS NULL") == 0


async def test_a_webhook_that_is_away_is_waited_for_once_and_the_mails_go_out(watch: Watch) -> None:
    """Each wait takes ten seconds, in which nothing is looked at."""
    watch.answers = [500, 500]
    readings = [Reading(f"server {number}", 1.0, "full") for number in range(3)]
    async with watch.house.database.write() as db:
        rules = [msgspec.structs.replace(rule, hold=0) for rule in rules_of(watch.house.settings)]
        await judge(db, watch.house.settings, rules, {**NOTHING, "pool": readings}, clock.now())
    await deliver(watch.house.database, watch.house.settings)
    assert (len(watch.ids), len(watch.letters.all)) == (1, 3)
    await deliver(watch.house.database, watch.house.settings)
    await deliver(watch.house.database, watch.house.settings)
    assert (len(watch.ids), len(watch.posts)) == (3, 1)


async def test_an_end_is_not_told_before_its_beginning(watch: Watch, owner: asyncpg.Connection) -> None:
    """The webhook's other side is away while it begins, and back when it has ended: it must not open it then."""
    watch.answers = [500]
    await watch.look()
    async with watch.house.database.write() as db:
        await judge(
            db, watch.house.settings, rules_of(watch.house.settings), {**NOTHING, "transaction": []}, clock.now()
        )
    await deliver(watch.house.database, watch.house.settings)
    assert watch.posts == []
    await owner.execute(NOW)
    await deliver(watch.house.database, watch.house.settings)
    assert watch.told("transaction") == ["fired", "resolved"]


async def test_the_mail_says_what_was_measured_and_what_to_do(watch: Watch) -> None:
    await watch.look()
    (letter,) = watch.letters.all
    assert letter["To"] == "operator@example.org"
    assert letter["Subject"] == "[entrepot] fired: transaction"
    text = letter.get_payload()
    assert "of postgres is idle in transaction" in text
    assert "may be 0" in text
    assert "what to do: docs/operations/runaway-query.md" in text


async def test_a_target_that_left_the_settings_is_given_up_and_no_address_is_kept(
    database: TestDatabase, owner: asyncpg.Connection, wrong: None
) -> None:
    secret = f"http://127.0.0.1:{free_port()}/token-in-the-address"
    async with watched(database, alerts=ANY, alert_webhooks=(secret,)) as watch:
        await watch.look()
        rows = [str(dict(row)) for row in await owner.fetch("SELECT * FROM core.notices")]
        assert len(rows) == 2
        assert not [row for row in rows if "token" in row]
    await owner.execute(NOW)
    async with watched(database, alerts=ANY) as watch:
        await deliver(watch.house.database, watch.house.settings)
        assert watch.posts == []
    left = await owner.fetch("SELECT error FROM core.notices WHERE next_at IS NULL AND sent_at IS NULL")
    assert [row["error"] for row in left] == ["it is no longer in the settings"]


async def test_a_mail_server_without_tls_gets_no_password(
    database: TestDatabase, owner: asyncpg.Connection, wrong: None
) -> None:
    async with watched(database) as plain:
        port = plain.house.settings.smtp_url.rpartition(":")[2]
        async with watched(database, alerts=ANY, smtp_url=f"smtp://me:secret@127.0.0.1:{port}") as watch:
            await watch.look()
            assert plain.letters.all == []
    (error,) = await owner.fetchrow("SELECT error FROM core.notices WHERE channel = 'email'")
    assert error == "Undelivered: the mail server offers no TLS, and a password is set"
