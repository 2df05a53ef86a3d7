"""The schema as SQL makes the same schema again, and squawk's findings reach whoever writes a migration."""

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest

from entrepot.dev.postgres import Server
from entrepot.kernel.app import App
from entrepot.kernel.upkeep import lint, revisions, schema
from entrepot.main import find_apps
from tests.conformance.conftest import catalogue
from tests.conftest import TestDatabase, cloned

APPS = find_apps()
BLOCKING = """
CREATE INDEX idx_products_note ON escrow.products (product_hash);

ALTER TABLE escrow.products DROP COLUMN stock;
"""
CASTS = re.compile(r"::[a-z ]+(\[\])?|[()]")


async def shape(connection: asyncpg.Connection, app: App) -> set[str]:
    """The catalogue without casts: PostgreSQL spreads them over the items of a list when it reads its own print."""
    return {CASTS.sub("", each) for each in await catalogue(connection, app)}


async def test_what_is_dumped_makes_the_same_schema_on_an_empty_server(cluster: Server, database: TestDatabase) -> None:
    async with cloned(cluster, template="template0") as empty:
        made, owner = await asyncpg.connect(empty.owner_url), await asyncpg.connect(database.owner_url)
        for row in await owner.fetch("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'"):
            await made.execute(f'CREATE EXTENSION "{row[0]}"')
        for app in APPS:
            text = await schema.dump(database.owner_url, app.name)
            # psql's own words are not SQL.
            await made.execute("\n".join(line for line in text.splitlines() if not line.startswith("\\")))
        await made.execute("RESET ALL")
        for app in APPS:
            assert await shape(made, app) == await shape(owner, app)
        await made.close()
        await owner.close()


@pytest.mark.parametrize("app", APPS, ids=[app.name for app in APPS])
def test_squawk_finds_nothing_in_our_migrations(app: App) -> None:
    assert lint.migrations([app])
    assert lint.lint([app]) == []


async def test_squawk_finds_what_would_hold_up_traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "0002_blocking.up.sql").write_text(BLOCKING)
    monkeypatch.setattr(revisions, "home", lambda _app: tmp_path)
    found = "\n".join(await asyncio.to_thread(lint.lint, APPS[:1]))
    assert "require-concurrent-index-creation" in found
    assert "ban-drop-column" in found


def test_every_rule_that_is_not_asked_says_why() -> None:
    assert all(reason.strip() for reason in lint.NOT_ASKED.values())
