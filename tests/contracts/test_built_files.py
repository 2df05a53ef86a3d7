"""The committed ABIs and bytecode are those that the sources give."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from market import CONTRACTS


def check(contracts: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(contracts / "build.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_built_files_are_those_that_the_sources_give():
    checked = check(CONTRACTS)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_changed_source_a_missing_file_and_a_leftover_are_named(tmp_path: Path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(CONTRACTS, copy)
    ledger = copy / "modules" / "ledger.vy"
    ledger.write_text(ledger.read_text().replace("nothing to withdraw", "nothing owed"))
    (copy / "built" / "TestUSDT.json").unlink()
    (copy / "built" / "Old.json").write_text("{}\n")
    checked = check(copy)
    assert checked.returncode == 1
    assert checked.stderr.splitlines() == [
        "differs from source: built/ArbitratorPool.json",
        "differs from source: built/Old.json",
        "differs from source: built/P2PEscrow.json",
        "differs from source: built/TestUSDT.json",
    ]


@pytest.mark.parametrize("name", ["P2PEscrow", "ArbitratorPool"])
def test_a_contract_fits_into_the_size_that_chains_allow(name: str):
    built = json.loads((CONTRACTS / "built" / f"{name}.json").read_text())
    assert len(bytes.fromhex(built["bytecode"][2:])) < 24_576


def test_the_order_statuses_keep_their_numbers():
    source = (CONTRACTS / "modules" / "book.vy").read_text()
    names = [
        "CREATED",
        "SELLER_CONFIRMED",
        "COMPLETED",
        "DISPUTED",
        "RESOLVED_BUYER",
        "RESOLVED_SELLER",
        "CANCELLED",
        "EXPIRED",
    ]
    for number, name in enumerate(names, start=1):
        assert f"\n{name}: constant(uint8) = {number}\n" in source
