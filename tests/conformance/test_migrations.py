"""Migrations go up, down to nothing and up again, and what they make is what `tables.py` says."""

import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from entrepot.dev.postgres import Server
from entrepot.kernel.app import App
from entrepot.kernel.upkeep import migrate
from tests.conformance import filling
from tests.conformance.conftest import APPS, catalogue
from tests.conftest import ROLE, TestDatabase, cloned

THINGS = """
    SELECT relname::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind NOT IN ('i', 't')
    UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = $1::regnamespace
    UNION ALL SELECT typname::text FROM pg_type WHERE typnamespace = $1::regnamespace AND typtype = 'e'
"""


@pytest.fixture
async def empty(cluster: Server) -> AsyncIterator[TestDatabase]:
    """A database in which nothing is."""
    async with cloned(cluster, template="template0") as made:
        yield made


async def test_every_app_goes_up_down_to_nothing_and_up_again(empty: TestDatabase) -> None:
    await migrate.up(empty.owner_url, APPS, ROLE)
    owner = await asyncpg.connect(empty.owner_url)
    first = {app.name: await catalogue(owner, app) for app in APPS}
    for app in reversed(APPS):
        await migrate.down(empty.owner_url, app, "base")
        left = {row[0] for row in await owner.fetch(THINGS, app.name)}
        assert left <= {"alembic_version", "alembic_version_pkc"}, f"{app.name} leaves {left} behind"
    await migrate.up(empty.owner_url, APPS, ROLE)
    assert {app.name: await catalogue(owner, app) for app in APPS} == first
    await owner.close()


async def test_every_app_goes_down_from_rows_in_every_table_and_up_again_and_no_other_app_notices(
    app: App, database: TestDatabase
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    owner = await asyncpg.connect(database.owner_url)
    new = await filling.counts(owner, app)
    for each in APPS:
        await filling.fill(owner, each, seed)
    first = {each.name: await catalogue(owner, each) for each in APPS}
    rows = {each.name: await filling.counts(owner, each) for each in APPS}
    assert all(each > 0 for counts in rows.values() for each in counts.values())
    await migrate.down(database.owner_url, app, "base")
    await migrate.up(database.owner_url, APPS, ROLE)
    assert {each.name: await catalogue(owner, each) for each in APPS} == first
    assert {each.name: await filling.counts(owner, each) for each in APPS} == {**rows, app.name: new}
    await owner.close()


async def test_migrating_what_is_migrated_changes_nothing(database: TestDatabase) -> None:
    owner = await asyncpg.connect(database.owner_url)
    first = {app.name: await catalogue(owner, app) for app in APPS}
    await migrate.up(database.owner_url, APPS, ROLE)
    assert {app.name: await catalogue(owner, app) for app in APPS} == first
    await owner.close()


async def test_alembic_sees_no_difference(app: App, database: TestDatabase) -> None:
    assert await migrate.differences(database.owner_url, app) == []


async def test_the_migrated_schema_equals_the_tables(app: App, database: TestDatabase, empty: TestDatabase) -> None:
    migrated, made = await asyncpg.connect(database.owner_url), await asyncpg.connect(empty.owner_url)
    for row in await migrated.fetch("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'"):
        await made.execute(f'CREATE EXTENSION "{row[0]}"')
    await made.execute(f'CREATE SCHEMA "{app.name}"')
    await migrate.with_connection(empty.owner_url, lambda here: (app.tables.create_all(here), here.commit()))
    said, is_there = await catalogue(made, app), await catalogue(migrated, app)
    assert sorted(said - is_there) == [], "tables.py says this, and the migrations do not make it"
    assert sorted(is_there - said) == [], "the migrations make this, and tables.py does not say it"
    await migrated.close()
    await made.close()


@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE {} ADD COLUMN surplus integer", "COMMENT ON TABLE {} IS NULL"],
)
async def test_a_schema_that_was_changed_by_hand_is_told(change: str, app: App, database: TestDatabase) -> None:
    owner = await asyncpg.connect(database.owner_url)
    before = await catalogue(owner, app)
    await owner.execute(change.format(next(iter(app.tables.tables.values())).fullname))
    assert await catalogue(owner, app) != before
    assert await migrate.differences(database.owner_url, app) != []
    await owner.close()
