"""Migrations read by squawk: what would hold up traffic, or cannot be taken back, is told before it runs."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from entrepot.kernel.app import App
from entrepot.kernel.upkeep import revisions

OLDEST = "15"
"""The PostgreSQL that the house asks for at least."""
NOT_ASKED = {
    "prefer-robust-stmts": "each migration is one transaction, so a part of it never stands",
    "require-lock-timeout": "the run sets it for every migration, and tries again (`migrate.locked`)",
    "require-statement-timeout": "the owner has none on purpose: a build that is let finish is cheaper than two halves",
    "prefer-text-field": "the lengths are the reference's, and part of its contract",
    "prefer-bigint-over-int": "counts of small things; every identity and every sum is a bigint",
    "prefer-bigint-over-smallint": "ratings, percents and decimals, each held by a CHECK",
}
"""Rules of squawk that do not apply here, and why. A file's own exception is `-- squawk-ignore rule`, with a reason."""


class LintMissing(Exception):
    """squawk is not installed; on any machine: pip install squawk-cli."""


def program() -> Path:
    """Where squawk is, beside this Python or on the PATH; raises `LintMissing`."""
    beside = Path(sys.executable).with_name("squawk")
    if beside.is_file():
        return beside
    if found := shutil.which("squawk"):
        return Path(found)
    raise LintMissing(LintMissing.__doc__)


def migrations(apps: Iterable[App]) -> list[Path]:
    """Every file of SQL that brings a schema forward."""
    return sorted(file for app in apps for file in (revisions.home(app) / "versions").glob("*.up.sql"))


def lint(apps: Iterable[App]) -> list[str]:
    """What squawk finds, a line for each finding; empty when it finds nothing. Raises `LintMissing`."""
    files = migrations(apps)
    if not files:
        return []
    rules = [f"--exclude={rule}" for rule in NOT_ASKED]
    command: list[str | Path] = [
        program(),
        f"--pg-version={OLDEST}",
        "--assume-in-transaction",
        "--reporter=gcc",
        *rules,
        *files,
    ]
    told = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - found by `program`
    found = [line for line in told.stdout.splitlines() if line.strip()]
    if told.returncode and not found:
        found = [told.stderr.strip() or f"squawk ended with status {told.returncode}"]
    return found
