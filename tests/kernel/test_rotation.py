"""The vault's keys change while the market runs: nothing sealed is lost, and the old key can be thrown away."""

import asyncpg
import pytest
from eth_account import Account

from entrepot.kernel.chain.keys import find_key, keep_key
from entrepot.kernel.db.database import Database
from entrepot.kernel.upkeep import rotation
from entrepot.kernel.vault import CannotUnseal, Vault, key_of
from tests.conftest import TestDatabase, settings_for
from tests.test_cli import Run, run

__all__ = ["run"]
OLD, NEW, OTHER = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
BEFORE, BOTH, AFTER = Vault({"old": OLD}), Vault({"old": OLD, "new": NEW}), Vault({"new": NEW})


async def sealed_keys(owner: asyncpg.Connection) -> set[str]:
    """The ids of the keys that secrets are sealed with."""
    return {key_of(row[0]) for row in await owner.fetch("SELECT sealed FROM core.secrets")}


async def test_what_an_old_key_sealed_opens_with_the_new_one_alone(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    account = Account.create()
    async with Database(database.url, settings_for(database)) as market:
        async with market.write() as db:
            await keep_key(db, BEFORE, "keeper", account)
        async with market.write() as db:
            assert await rotation.rotate(db, BOTH) == ["keeper"]
        async with market.read() as db:
            found = await find_key(db, AFTER, "keeper")
            assert await rotation.keys_in_use(db) == {"new": 1}
        assert found is not None
        assert found.address == account.address
        async with market.write() as db:
            assert await rotation.rotate(db, BOTH) == []
    assert await sealed_keys(owner) == {"new"}


async def test_where_one_key_is_missing_no_secret_is_changed(database: TestDatabase, owner: asyncpg.Connection) -> None:
    async with Database(database.url, settings_for(database)) as market:
        async with market.write() as db:
            await keep_key(db, BEFORE, "first", Account.create())
            await keep_key(db, Vault({"lost": OTHER}), "second", Account.create())
        with pytest.raises(CannotUnseal, match="'lost'"):
            async with market.write() as db:
                await rotation.rotate(db, BOTH)
    assert await sealed_keys(owner) == {"old", "lost"}


def test_the_command_asks_for_the_key_that_it_lacks(run: Run, database: TestDatabase) -> None:
    old, new = '"old": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="', '"new": "' + "A" * 43 + '="'
    given = {"DATABASE_URL": database.url, "DATABASE_OWNER_URL": database.owner_url}
    assert run("chain", "keeper", **given, ENTREPOT_VAULT_KEYS=f"{{{old}}}").returncode == 0
    assert run("vault", "status", **given, ENTREPOT_VAULT_KEYS=f"{{{old}, {new}}}").returncode == 1
    lacking = run("vault", "rotate", **given, ENTREPOT_VAULT_KEYS=f"{{{new}}}")
    assert lacking.returncode == 1
    assert "'old'" in lacking.stderr
    assert "keeper" in run("vault", "rotate", **given, ENTREPOT_VAULT_KEYS=f"{{{old}, {new}}}").stdout
    assert run("vault", "status", **given, ENTREPOT_VAULT_KEYS=f"{{{new}}}").returncode == 0
