"""The migrated schemas hold all that the references ask for, but for the differences that are written down."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.conformance.conftest import APPS
from tests.conftest import TestDatabase

PROJECT = Path(__file__).parents[2]
CHECK = PROJECT.parent / "shared" / "checks" / "reference_schema.py"
DIFFERENCES = PROJECT / "docs" / "reference_differences.txt"

pytestmark = pytest.mark.skipif(not CHECK.is_file(), reason="the references' checker is not beside the project")


async def check(database: TestDatabase, *options: str) -> tuple[int, list[str]]:
    """Exit status and lines of the checker, over every application."""
    names = [app.name for app in APPS]
    process = await asyncio.create_subprocess_exec(
        sys.executable, CHECK, database.owner_url, *names, *options, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode().splitlines()


async def test_the_migrated_schema_has_all_that_the_reference_asks_for(database: TestDatabase) -> None:
    status, told = await check(database, "--except", str(DIFFERENCES))
    assert told == ["0 differences from the reference"]
    assert status == 0


async def test_every_difference_that_is_written_down_is_still_one_and_has_its_reason(database: TestDatabase) -> None:
    _, told = await check(database)
    written = [line.partition(" # ") for line in DIFFERENCES.read_text().splitlines()]
    assert [line for line, _, _ in written] == told[:-1]
    assert all(reason.strip() for _, _, reason in written)
