"""The command line, as a shell sees it: exit codes, JSON, plain lines, and a market that starts and stops."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from entrepot import cli
from tests.conftest import TestDatabase, free_port

SECONDS = 120
Run = Callable[..., "Told"]


@dataclass(frozen=True)
class Told:
    """What a command said, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


def clean(given: dict[str, str]) -> dict[str, str]:
    """The environment with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENTREPOT_", "DATABASE_"))}
    return kept | given


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """One command to its end, in this process."""

    def call(*arguments: str, **environment: str) -> Told:
        with mock.patch.dict(os.environ, clean(environment), clear=True), pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        said = capsys.readouterr()
        return Told(int(ended.value.code or 0), said.out, said.err)

    return call


def shell(*arguments: str, **environment: str) -> Told:
    """One command to its end, in a process of its own."""
    command = [sys.executable, "-m", "entrepot", *arguments]
    told = subprocess.run(command, check=False, env=clean(environment), capture_output=True, text=True, timeout=SECONDS)
    return Told(told.returncode, told.stdout, told.stderr)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that PostgreSQL may enter; pytest's own is closed to other users at every start of pytest."""
    with tempfile.TemporaryDirectory(prefix="entrepot-test-") as folder:
        yield Path(folder)


@pytest.fixture
def home(place: Path) -> str:
    return str(place / "home")


@pytest.fixture
def here(database: TestDatabase, home: str) -> dict[str, str]:
    """Settings for the test's own database."""
    return {"DATABASE_URL": database.url, "DATABASE_OWNER_URL": database.owner_url, "ENTREPOT_HOME": home}


def test_help_names_every_command_and_what_the_exit_status_means(run: Run) -> None:
    told = run("--help")
    assert told.returncode == 0
    for command in ("up", "serve", "worker", "doctor", "demo", "migrate", "chain", "Exit status"):
        assert command in told.stdout


@pytest.mark.parametrize("command", ["up", "serve", "worker", "doctor", "demo", "migrate up", "chain deploy"])
def test_every_command_documents_its_exit_status(run: Run, command: str) -> None:
    assert "Exit status" in run(*command.split(), "--help").stdout


@pytest.mark.parametrize("command", ["serve", "worker", "up", "migrate status", "chain status"])
def test_a_bad_setting_is_one_line_and_status_2(run: Run, command: str, home: str) -> None:
    told = run(*command.split(), ENTREPOT_HOME=home, ENTREPOT_PORT="ten")
    assert told.returncode == 2
    assert told.stderr.splitlines() == ["error: ENTREPOT_PORT: Expected `int`, got `str`"]


def test_bad_usage_is_status_2(run: Run, home: str) -> None:
    assert run("serve", "--nonsense").returncode == 2
    assert run("migrate", "down", "nowhere", ENTREPOT_HOME=home, DATABASE_URL="postgresql://x@/x").returncode == 2


def test_a_database_that_is_not_there_is_told_in_a_sentence(run: Run) -> None:
    told = run("serve", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert told.returncode == 1
    assert told.stderr.startswith("error: the database does not answer")
    assert "Traceback" not in told.stderr


def test_migrate_status_is_json_for_a_script(run: Run, here: dict[str, str]) -> None:
    told = run("migrate", "status", "--json", **here)
    assert told.returncode == 0
    assert {each["app"] for each in json.loads(told.stdout)} >= {"core", "escrow"}
    assert all(each["is_current"] for each in json.loads(told.stdout))


def test_what_is_behind_is_not_served_and_one_command_mends_it(run: Run, here: dict[str, str]) -> None:
    assert run("migrate", "down", "escrow", "--to", "base", "--yes", **here).returncode == 0
    assert run("migrate", "status", **here).returncode == 1
    for command in ("serve", "worker"):
        refused = run(command, **here)
        assert refused.returncode == 1
        assert "behind this release: escrow" in refused.stderr
        assert "entrepot migrate up" in refused.stderr
    told = json.loads(run("doctor", "--json", **here).stdout)
    assert {"name": "schema", "mend": "entrepot migrate up"}.items() <= told["findings"][-2].items()
    assert run("migrate", "up", **here).returncode == 0
    assert run("migrate", "status", **here).returncode == 0


def test_doctor_names_what_is_broken_and_the_command_that_mends_it(run: Run, home: str) -> None:
    told = run("doctor", "--json", ENTREPOT_HOME=home)
    assert told.returncode == 1
    found = {each["name"]: each for each in json.loads(told.stdout)["findings"]}
    assert (found["database"]["state"], found["database"]["mend"]) == ("bad", "entrepot up")
    assert not Path(home).exists()  # it looks and makes nothing


def test_doctor_sees_a_chain_that_does_not_answer(run: Run, here: dict[str, str]) -> None:
    chains = '[{"name": "ethereum", "chain_id": 1, "endpoints": ["http://127.0.0.1:1/key-of-mine"]}]'
    told = run("doctor", ENTREPOT_CHAINS=chains, **here)
    assert told.returncode == 1
    assert "ethereum" in told.stdout
    assert "key-of-mine" not in told.stdout
    assert run("chain", "status", "--json", ENTREPOT_CHAINS=chains, **here).returncode == 1


def test_the_keeper_keeps_its_key(run: Run, here: dict[str, str]) -> None:
    first, second = (run("chain", "keeper", **here) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert first.stdout.split()[4] == second.stdout.split()[4]


@contextmanager
def started(*arguments: str, until: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command in the background, from the moment that it says `until`."""
    command = [sys.executable, "-m", "entrepot", *arguments]
    with log.open("w") as said:
        process = subprocess.Popen(command, env=clean(environment), stdout=said, stderr=said)
    try:
        ends = time.monotonic() + SECONDS
        while until not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(400)
def test_the_demo_trades_and_a_market_started_after_it_goes_on_where_it_stopped(place: Path) -> None:
    given = {"ENTREPOT_HOME": str(place / "home"), "ENTREPOT_PORT": str(free_port())}
    demo = shell("demo", "--once", **given)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "500 products of 50 sellers" in demo.stdout
    assert demo.stdout.count("tx 0x") == 6
    assert [line.split(": ")[1] for line in demo.stdout.splitlines() if "order in the database" in line] == [
        "created", "seller_confirmed", "completed", "completed",
    ]  # fmt: skip
    with started("up", until="Ctrl-C stops it", log=place / "up.log", **given) as up:
        doctor = shell("doctor", "--json", **given)
        assert doctor.returncode == 0, doctor.stdout
        chain = json.loads(shell("chain", "status", "--json", **given).stdout)[0]
        assert chain["is_well"]
        assert chain["head"] >= 11  # blocks of the demo: the chain goes on
        assert shell("up", **given).returncode == 1  # one market for one home
        second = shell("serve", **given)  # two servers of one port would answer in turns
        assert (second.returncode, "is taken" in second.stderr) == (1, True)
        up.send_signal(signal.SIGTERM)
        assert up.wait(20) == 0
    assert "stopped" in (place / "up.log").read_text()
    assert not (place / "home" / "postgres" / "postmaster.pid").exists()


@pytest.mark.timeout(400)
def test_a_market_whose_worker_dies_says_so_and_stops(place: Path) -> None:
    given = {"ENTREPOT_HOME": str(place / "home"), "ENTREPOT_PORT": str(free_port())}
    with started("up", until="Ctrl-C stops it", log=place / "up.log", **given) as up:
        children = Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()
        workers = [pid for pid in children if Path(f"/proc/{pid}/cmdline").read_text().endswith("\0worker\0")]
        os.kill(int(workers[0]), signal.SIGKILL)
        assert up.wait(30) == 1
    assert "the worker ended with status -9" in (place / "up.log").read_text()
