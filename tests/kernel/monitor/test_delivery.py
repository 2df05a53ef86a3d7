"""Whoever is to be told is told once, also where the other side refuses at first."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from entrepot.kernel.monitor.delivery import deliver
from tests.conftest import TestDatabase, free_port
from tests.kernel.monitor.watch import Watch, watched

OPEN = """
    INSERT INTO core.chain_transactions (id, chain, sender, nonce, purpose, recipient, data, gas, max_fee, max_tip,
        hashes, state, created_at)
    VALUES (gen_random_uuid(), 'ethereum', '0x', 1, 'timeout 1', '0x', '', 1, 1, 1, '{}', 'open',
        now() - interval '20 minutes')
"""
NOW = "UPDATE core.notices SET next_at = now() WHERE next_at IS NOT NULL"


@pytest.fixture
async def watch(database: TestDatabase, owner: asyncpg.Connection) -> AsyncIterator[Watch]:
    await owner.execute(OPEN)
    async with watched(database) as made:
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
    assert watch.told("queue") == ["fired"]
    assert len(watch.ids) == 3
    assert len(set(watch.ids)) == 1
    assert await owner.fetchval("SELECT count(*) FROM core.notices WHERE sent_at IS NULL") == 0


async def test_the_mail_says_what_was_measured_and_what_to_do(watch: Watch) -> None:
    await watch.look()
    (letter,) = watch.letters.all
    assert letter["To"] == "operator@example.org"
    assert letter["Subject"] == "[entrepot] fired: queue core.chain_transactions"
    text = letter.get_payload()
    assert "the oldest waits for 120" in text
    assert "may be 900" in text
    assert "entrepot doctor" in text


async def test_a_target_that_left_the_settings_is_given_up_and_no_address_is_kept(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    await owner.execute(OPEN)
    secret = f"http://127.0.0.1:{free_port()}/token-in-the-address"
    async with watched(database, alert_webhooks=(secret,)) as watch:
        await watch.look()
        rows = [str(dict(row)) for row in await owner.fetch("SELECT * FROM core.notices")]
        assert len(rows) == 2
        assert not [row for row in rows if "token" in row]
    await owner.execute(NOW)
    async with watched(database) as watch:
        await deliver(watch.house.database, watch.house.settings)
        assert watch.posts == []
    left = await owner.fetch("SELECT error FROM core.notices WHERE next_at IS NULL AND sent_at IS NULL")
    assert [row["error"] for row in left] == ["it is no longer in the settings"]


async def test_a_mail_server_without_tls_gets_no_password(database: TestDatabase, owner: asyncpg.Connection) -> None:
    await owner.execute(OPEN)
    async with watched(database) as plain:
        port = plain.house.settings.smtp_url.rpartition(":")[2]
        async with watched(database, smtp_url=f"smtp://me:secret@127.0.0.1:{port}") as watch:
            await watch.look()
            assert plain.letters.all == []
    (error,) = await owner.fetchrow("SELECT error FROM core.notices WHERE channel = 'email'")
    assert error == "Undelivered: the mail server offers no TLS, and a password is set"
