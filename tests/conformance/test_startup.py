"""What a process loads when it starts: little for help, and nobody what only another one needs."""

import inspect
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, get_type_hints

import pytest
import typer
from alembic.script import ScriptDirectory

from entrepot.cli import build
from entrepot.kernel.app import App
from entrepot.kernel.upkeep import migrate, revisions
from tests.conftest import TestDatabase, free_port

SECONDS = 60
LOADED = re.compile(r"^import time: .*\| +([\w.]+)$", re.MULTILINE)
SIGNS = {"eth_account", "eth_keyfile", "py_ecc"}
MIGRATES = {"alembic", "mako", "sqlalchemy"}
SERVES = {"litestar", "gunicorn", "uvicorn"}
WORKS = {"aiohttp", "asyncpg", "eth_abi", "eth_utils", "obstore", "pyarrow", "stamina", "entrepot.main"}
REDIS = {"redis"}


def commands(group: typer.Typer) -> Iterator[Callable[..., Any]]:
    """Every command of a group and of the groups in it, as it is declared."""
    yield from (each.callback for each in group.registered_commands if each.callback is not None)
    for one in group.registered_groups:
        assert one.typer_instance is not None
        yield from commands(one.typer_instance)


COMMANDS = {words.__dict__.get("place", words.__qualname__): words for words in commands(build())}


@pytest.mark.parametrize("place", COMMANDS)
def test_what_does_a_command_takes_what_its_words_promise(place: str) -> None:
    words, does = COMMANDS[place], resolve_name(place)
    assert words is not does, "a command is its words alone: `done_by` says where the rest is"
    taken = {name: each.kind for name, each in inspect.signature(does).parameters.items()}
    assert taken == {name: each.kind for name, each in inspect.signature(words).parameters.items()}
    assert get_type_hints(does) == get_type_hints(words)


def test_the_newest_revision_is_the_one_that_alembic_would_bring(app: App) -> None:
    assert revisions.head(app) == ScriptDirectory.from_config(migrate.config(app)).get_current_head()


def loaded(log: str) -> set[str]:
    """The modules that a process imported, and the packages that they are of."""
    found = set(LOADED.findall(log))
    assert "entrepot" in found
    return found | {name.partition(".")[0] for name in found}


def environment(**given: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENTREPOT_", "DATABASE_"))}
    return kept | given


@pytest.mark.parametrize(
    "arguments",
    ["--help", "--version", "doctor --help", "backup restore --help", "escrow blacklist add --help", "oops"],
)
def test_help_loads_nothing_of_the_house(arguments: str, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "entrepot", *arguments.split()]
    given = environment(ENTREPOT_HOME=str(tmp_path))
    told = subprocess.run(command, check=False, capture_output=True, text=True, env=given, timeout=SECONDS)
    assert told.returncode == (2 if arguments == "oops" else 0)
    assert loaded(told.stderr) & (SIGNS | MIGRATES | SERVES | WORKS | REDIS) == set()


def test_a_command_loads_nothing_of_what_signs_migrates_or_serves(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "entrepot", "task", "list"]
    given = environment(ENTREPOT_HOME=str(tmp_path))
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=given, timeout=SECONDS)
    assert "core.retention" in told.stdout
    assert loaded(told.stderr) & (SIGNS | MIGRATES | SERVES | REDIS) == set()


@contextmanager
def running(command: str, log: Path, given: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command in the background, asked to end at the end."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "entrepot", command], env=given, stdout=said, stderr=said
        )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


def until(is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for it, as long as the process is there."""
    ends = time.monotonic() + SECONDS
    while not is_so():
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < ends
        time.sleep(0.05)


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


@pytest.fixture
def given(database: TestDatabase, tmp_path: Path) -> dict[str, str]:
    """Settings for a process on the test's database."""
    url = {"DATABASE_URL": database.url, "DATABASE_OWNER_URL": database.owner_url}
    return environment(ENTREPOT_HOME=str(tmp_path), ENTREPOT_PORT=str(free_port()), **url)


def test_a_server_loads_nothing_of_what_signs_or_migrates(given: dict[str, str], tmp_path: Path) -> None:
    log, page = tmp_path / "log", f"http://127.0.0.1:{given['ENTREPOT_PORT']}/api/v1/escrow/products"
    with running("serve", log, given) as process:
        until(lambda: answers(page), process, log)
    assert loaded(log.read_text()) & (SIGNS | MIGRATES | REDIS) == set()


def test_a_worker_loads_nothing_of_what_signs_migrates_or_serves(given: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running("worker", log, given) as process:
        until(lambda: " working: " in log.read_text(), process, log)
    before = log.read_text().partition(" working: ")[0]  # a task may need more: retention reads the tables
    assert loaded(before) & (SIGNS | MIGRATES | SERVES | REDIS) == set()
