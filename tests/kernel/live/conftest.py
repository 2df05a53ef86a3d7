"""A database with a session in it, and a radio on it."""

import hashlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.kernel.conftest import WALLET
from tests.kernel.live.radio import Radio, on_air

HEARTBEAT = 0.3


@pytest.fixture
async def studio(database: TestDatabase, owner: asyncpg.Connection) -> TestDatabase:
    """A database in which the wallet has a session, whose token is the wallet itself."""
    await owner.execute(
        "INSERT INTO core.sessions (token_hash, wallet, expires_at) VALUES ($1, $2, now() + interval '1 hour')",
        hashlib.sha256(WALLET.encode()).digest(),
        WALLET,
    )
    return database


@pytest.fixture
async def radio(studio: TestDatabase, owner: asyncpg.Connection) -> AsyncIterator[Radio]:
    """A radio whose streams beat often."""
    async with on_air(studio, owner, live_heartbeat=HEARTBEAT) as made:
        yield made
