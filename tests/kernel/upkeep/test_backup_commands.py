"""`entrepot backup` and what `entrepot doctor` says of backups, as an operator's shell sees them."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from entrepot.dev import postgres
from tests.kernel.upkeep.cellar import KEYS, SETTINGS, Cellar, cellar, server
from tests.test_cli import Run, Told, run, started

__all__ = ["cellar", "run", "server"]
Shell = Callable[..., Told]


def house(cellar: Cellar, **more: str) -> dict[str, str]:
    """The settings of a house whose backups are sealed."""
    return {
        "ENTREPOT_HOME": str(cellar.folder / "home"),
        "DATABASE_URL": cellar.url,
        "DATABASE_OWNER_URL": cellar.owner_url,
        "ENTREPOT_BACKUP_URL": (cellar.folder / "backups").as_uri(),
        "ENTREPOT_BACKUP_KEYS": json.dumps(KEYS),
        **more,
    }


@pytest.fixture
def shell(run: Run, cellar: Cellar) -> Shell:
    """One command in that house."""
    return lambda *arguments, **more: run(*arguments, **house(cellar, **more))


@pytest.fixture
def worker(cellar: Cellar) -> Iterator[None]:
    """A worker, which archives the WAL and makes up for the backup of the last hour."""
    with started("worker", until="working", log=cellar.folder / "worker.log", **house(cellar)):
        yield


def listed(shell: Shell) -> dict[str, Any]:
    told = shell("backup", "list", "--json")
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def on_backups(shell: Shell, **more: str) -> list[tuple[str, str, str]]:
    """What the doctor says of them: how bad it is, what it is, and what mends it."""
    findings = json.loads(shell("doctor", "--json", **more).stdout)["findings"]
    return [(each["state"], each["found"], each["mend"]) for each in findings if each["name"] == "backups"]


def notes_in(folder: Path) -> list[str]:
    """What a server in that folder has of the notes."""

    async def read(url: str) -> list[str]:
        connection = await asyncpg.connect(url)
        rows = await connection.fetch("SELECT note FROM public.notes ORDER BY at")
        await connection.close()
        return [row[0] for row in rows]

    with postgres.started(folder, SETTINGS) as started:
        return asyncio.run(read(started.get_uri()))


def test_an_operator_makes_lists_proves_and_restores_backups(shell: Shell, cellar: Cellar, worker: None) -> None:
    until = time.monotonic() + 30
    while not listed(shell)["backups"]:
        assert time.monotonic() < until, "the worker made none"
        time.sleep(0.2)
    moment = asyncio.run(cellar.commit("wanted"))
    made = json.loads(shell("backup", "create", "--incremental", "--json").stdout)
    asyncio.run(cellar.commit("not wanted"))
    proof = json.loads(shell("backup", "verify", "--json").stdout)
    assert (proof["backup"], proof["outcome"], proof["findings"]) == (made["id"], "proven", [])
    headings, full, incremental, reach, *_ = shell("backup", "list").stdout.splitlines()
    assert headings.split("\t")[4:] == ["key", "last verification"]
    assert (full.split("\t")[1], full.split("\t")[-1]) == ("full", "not verified")
    assert incremental.split("\t")[4] == "new"
    assert incremental.split("\t")[-1].startswith("proven 20")
    assert reach.startswith("The archive of the WAL reaches ")
    ((state, found, _),) = on_backups(shell)
    assert (state, found.partition(" reaches")[0]) == ("good", "proven; the archive of the WAL")
    folder = cellar.folder / "restored"
    told = shell("backup", "restore", str(folder), "--to", moment.isoformat())
    assert (told.returncode, f"pg_ctl -D {folder} start" in told.stdout) == (0, True), told.stderr
    assert notes_in(folder) == ["wanted"]
    again = shell("backup", "restore", str(folder))
    assert (again.returncode, again.stderr) == (1, f"error: {folder} is not empty\n")


def test_a_backup_that_is_damaged_is_not_proven_and_the_doctor_says_so(shell: Shell, cellar: Cellar) -> None:
    assert shell("backup", "create").returncode == 0
    (path,) = (cellar.folder / "backups").rglob("base.tar.gz")
    path.write_bytes(path.read_bytes()[:-1])
    told = shell("backup", "verify")
    assert told.returncode == 1
    assert "is not proven" in told.stdout
    assert "was altered or cut off" in told.stdout
    told_by_doctor = on_backups(shell)
    assert any(what.startswith("the last verification failed: ") for _, what, _ in told_by_doctor)
    mend = "entrepot worker; if one is at work, see docs/operations/wal-archive.md"
    assert ("bad", "the archive of the WAL is empty", mend) in told_by_doctor


def test_what_cannot_be_done_is_a_sentence_a_remedy_and_a_status(shell: Shell, cellar: Cellar) -> None:
    nothing = shell("backup", "verify")
    assert (nothing.returncode, "there is no backup of this server" in nothing.stderr) == (1, True)
    assert "entrepot backup create" in nothing.stderr
    assert ("bad", "there is no backup", "entrepot backup create") in on_backups(shell)
    assert shell("backup", "create").returncode == 0
    assert "\tnew\t" in shell("backup", "list", ENTREPOT_BACKUP_KEYS="").stdout
    without = shell("backup", "restore", str(cellar.folder / "restored"), ENTREPOT_BACKUP_KEYS="")
    assert (without.returncode, "sealed with key 'new', which is not given" in without.stderr) == (1, True)
    assert "ENTREPOT_BACKUP_KEYS" in without.stderr
    powerless = shell("backup", "create", DATABASE_OWNER_URL="")
    assert (powerless.returncode, "the role may not replicate" in powerless.stderr) == (1, True)
    assert shell("backup", "create", ENTREPOT_BACKUP_URL="nowhere://at/all").returncode == 2
    assert on_backups(shell, ENTREPOT_BACKUP_URL="")[0][:2] == ("note", "none are made by themselves")


def test_backups_from_before_there_were_keys_are_restored_where_the_operator_says_so(
    shell: Shell, cellar: Cellar
) -> None:
    asyncio.run(cellar.commit("unsealed"))
    assert shell("backup", "create", ENTREPOT_BACKUP_KEYS="").returncode == 0
    assert shell("backup", "list").stdout.splitlines()[1].split("\t")[4] == "not sealed"
    assert ("bad", "the newest backup is not sealed, though there are keys", "entrepot backup create") in on_backups(
        shell
    )
    folder = str(cellar.folder / "restored")
    refused = shell("backup", "restore", folder)
    assert (refused.returncode, "is not sealed, though keys are given" in refused.stderr) == (1, True)
    assert "--unsealed" in refused.stderr
    assert shell("backup", "restore", folder, "--unsealed").returncode == 0
    assert notes_in(Path(folder))[-1] == "unsealed"
